"""`ray.tune.suggest` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..._planned import lazily
from ..search import BasicVariantGenerator, Searcher, create_searcher
from ..search.concurrency_limiter import ConcurrencyLimiter
from ..search.repeater import Repeater
from ..search.sample import grid_search
from ..search.searcher import SearchAlgorithm

__all__ = [
    "BasicVariantGenerator",
    "ConcurrencyLimiter",
    "Repeater",
    "SearchAlgorithm",
    "Searcher",
    "create_searcher",
    "grid_search",
]
__getattr__ = lazily(__name__)
