"""Behaviour cloning."""

from __future__ import annotations

from .bc import BC, BCConfig

__all__ = ["BC", "BCConfig"]
