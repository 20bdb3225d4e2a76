"""Augmented random search."""

from __future__ import annotations

from .ars import ARS, ARSConfig

__all__ = ["ARS", "ARSConfig"]
