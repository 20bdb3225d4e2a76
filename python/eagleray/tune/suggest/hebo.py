"""`ray.tune.suggest.hebo` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.hebo import HEBOSearch

__all__ = ["HEBOSearch"]
