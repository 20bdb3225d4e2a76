"""`ray.tune.suggest.nevergrad` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.nevergrad import NevergradSearch

__all__ = ["NevergradSearch"]
