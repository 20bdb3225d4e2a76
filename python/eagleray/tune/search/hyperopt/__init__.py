"""Follows `ray.tune.search.hyperopt`."""

from __future__ import annotations

from .hyperopt_search import HyperOptSearch

__all__ = ["HyperOptSearch"]
