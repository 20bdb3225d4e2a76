"""Nested dicts: merged, flattened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eagleray.tune.utils.dicts import deep_update, merge_dicts
from eagleray.tune.utils.flatten import flatten_dict as _flatten
from eagleray.tune.utils.flatten import unflatten_dict as _unflatten

__all__ = ["deep_update", "flatten_dict", "merge_dicts", "unflatten_dict"]


def flatten_dict(nested: Mapping[str, Any], sep: str = "/", env_steps: int = 0) -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a/b": 1}."""
    return _flatten(dict(nested), delimiter=sep)


def unflatten_dict(flat: Mapping[str, Any], sep: str = "/") -> dict[str, Any]:
    """The inverse of flatten_dict()."""
    return _unflatten(dict(flat), delimiter=sep)
