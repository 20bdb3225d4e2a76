"""`ray.tune.suggest.suggestion` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.concurrency_limiter import ConcurrencyLimiter
from ..search.searcher import FINISHED, Searcher

__all__ = ["ConcurrencyLimiter", "FINISHED", "Searcher"]
