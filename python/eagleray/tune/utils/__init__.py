"""Helpers of programs that use Tune. Follows `ray.tune.utils`."""

from __future__ import annotations

from .flatten import flatten_dict, unflatten_dict

__all__ = ["flatten_dict", "unflatten_dict"]
