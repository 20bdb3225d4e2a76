"""Follows `ray.tune.search.ax`."""

from __future__ import annotations

from .ax_search import AxSearch

__all__ = ["AxSearch"]
