"""`ray.tune.suggest.optuna` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.optuna import OptunaSearch

__all__ = ["OptunaSearch"]
