"""`ray.tune.suggest.variant_generator` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..._planned import lazily
from ..search.variant_generator import format_vars, generate_variants

__all__ = ["format_vars", "generate_variants"]


__getattr__ = lazily(__name__)  # names that are planned
