"""Imitation, weighted by advantage."""

from __future__ import annotations

from ...utils.lazy import lazily
from .marwil import MARWIL, MARWILConfig

__all__ = ["MARWIL", "MARWILConfig"]


__getattr__ = lazily(__name__)  # names that are planned
