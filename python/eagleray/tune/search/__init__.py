"""Where the configs of trials come from. Follows `ray.tune.search`."""

from __future__ import annotations

from ..._planned import lazily
from .basic_variant import BasicVariantGenerator
from .searcher import FINISHED, SearchAlgorithm, Searcher

__all__ = [
    "BasicVariantGenerator",
    "ConcurrencyLimiter",
    "FINISHED",
    "Repeater",
    "SearchAlgorithm",
    "Searcher",
    "UNDEFINED_METRIC_MODE",
    "UNDEFINED_SEARCH_SPACE",
    "UNRESOLVED_SEARCH_SPACE",
    "create_searcher",
    "grid_search",
]

UNDEFINED_SEARCH_SPACE = "The space of {cls} is not defined: give it a space, or tune.run(config=...) one with tune.uniform() or the like"
UNRESOLVED_SEARCH_SPACE = "The {par} of {cls} has values that are still to be drawn: give the space as {space}, or tune.run(config=...) those of Tune"
UNDEFINED_METRIC_MODE = (
    "{cls} does not know what to optimise: give it metric and mode (now {metric} and {mode})"
)
_LAZY = {
    "ConcurrencyLimiter": ".concurrency_limiter",
    "Repeater": ".repeater",
    "create_searcher": ".create",
    "grid_search": ".sample",
}
__getattr__ = lazily(__name__, _LAZY)
