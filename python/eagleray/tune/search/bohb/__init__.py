"""Follows `ray.tune.search.bohb`."""

from __future__ import annotations

from .bohb_search import TuneBOHB

BOHB = TuneBOHB
__all__ = ["BOHB", "TuneBOHB"]
