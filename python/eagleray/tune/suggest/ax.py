"""`ray.tune.suggest.ax` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.ax import AxSearch

__all__ = ["AxSearch"]
