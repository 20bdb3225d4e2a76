"""Follows `ray.tune.search.zoopt`."""

from __future__ import annotations

from .zoopt_search import ZOOptSearch

__all__ = ["ZOOptSearch"]
