"""Looking at what programs hold, and making them repeat."""

from __future__ import annotations

from ..lazy import lazily
from .deterministic import update_global_seed_if_necessary
from .summary import summarize

__all__ = ["summarize", "update_global_seed_if_necessary"]
__getattr__ = lazily(__name__)
