"""`ray.tune.suggest.hyperopt` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.hyperopt import HyperOptSearch

__all__ = ["HyperOptSearch"]
