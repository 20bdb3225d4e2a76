"""Advantage actor-critic."""

from __future__ import annotations

from .a2c import A2C, A2CConfig

__all__ = ["A2C", "A2CConfig"]
