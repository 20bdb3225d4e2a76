"""Follows `ray.tune.search.bohb`."""

from __future__ import annotations

from .bohb_search import TuneBOHB

__all__ = ["TuneBOHB"]
