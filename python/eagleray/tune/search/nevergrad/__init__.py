"""Follows `ray.tune.search.nevergrad`."""

from __future__ import annotations

from .nevergrad_search import NevergradSearch

__all__ = ["NevergradSearch"]
