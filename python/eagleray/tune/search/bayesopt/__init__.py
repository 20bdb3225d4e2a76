"""Follows `ray.tune.search.bayesopt`."""

from __future__ import annotations

from .bayesopt_search import BayesOptSearch

__all__ = ["BayesOptSearch"]
