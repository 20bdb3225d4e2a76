"""Follows `ray.tune.search.hebo`."""

from __future__ import annotations

from .hebo_search import HEBOSearch

__all__ = ["HEBOSearch"]
