"""Advantage actor-critic, an update a worker."""

from __future__ import annotations

from .a3c import A3C, A3CConfig

__all__ = ["A3C", "A3CConfig"]
