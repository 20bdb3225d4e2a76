"""`ray.tune.suggest.search` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.searcher import SearchAlgorithm

__all__ = ["SearchAlgorithm"]
