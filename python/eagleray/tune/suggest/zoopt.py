"""`ray.tune.suggest.zoopt` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.zoopt import ZOOptSearch

__all__ = ["ZOOptSearch"]
