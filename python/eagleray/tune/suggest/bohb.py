"""`ray.tune.suggest.bohb` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.bohb import TuneBOHB

__all__ = ["TuneBOHB"]
