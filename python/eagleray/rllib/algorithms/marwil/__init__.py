"""Imitation, weighted by advantage."""

from __future__ import annotations

from .marwil import MARWIL, MARWILConfig

__all__ = ["MARWIL", "MARWILConfig"]
