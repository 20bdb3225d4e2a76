"""Where the configs of trials come from. Follows `ray.tune.search`."""

from __future__ import annotations

import importlib
from typing import Any

from .basic_variant import BasicVariantGenerator
from .searcher import FINISHED, SearchAlgorithm, Searcher

__all__ = [
    "BasicVariantGenerator",
    "ConcurrencyLimiter",
    "FINISHED",
    "Repeater",
    "SearchAlgorithm",
    "Searcher",
    "UNDEFINED_SEARCH_SPACE",
    "create_searcher",
]

UNDEFINED_SEARCH_SPACE = "The space of {cls} is not defined: give it a space, or tune.run(config=...) one with tune.uniform() or the like"
_LAZY = {
    "ConcurrencyLimiter": ".concurrency_limiter",
    "Repeater": ".repeater",
    "create_searcher": ".create",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
