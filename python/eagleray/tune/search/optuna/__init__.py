"""Optuna. Follows `ray.tune.search.optuna`."""

from __future__ import annotations

from .optuna_search import OptunaPruning, OptunaSearch

__all__ = ["OptunaPruning", "OptunaSearch"]
