"""`ray.tune.suggest.basic_variant` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.basic_variant import BasicVariantGenerator

__all__ = ["BasicVariantGenerator"]
