"""`ray.tune.suggest.bayesopt` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.bayesopt import BayesOptSearch

__all__ = ["BayesOptSearch"]
