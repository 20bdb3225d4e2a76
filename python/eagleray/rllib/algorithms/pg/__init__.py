"""Policy gradients."""

from __future__ import annotations

from .pg import PG, PGConfig

__all__ = ["PG", "PGConfig"]
