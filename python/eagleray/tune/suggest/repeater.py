"""`ray.tune.suggest.repeater` of 2021: its names are in eagleray.tune.search now."""

from __future__ import annotations

from ..search.repeater import TRIAL_INDEX, Repeater

__all__ = ["Repeater", "TRIAL_INDEX"]
