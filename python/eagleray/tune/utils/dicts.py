"""Merging nested dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["deep_update", "merge_dicts", "unflattened_lookup"]


def merge_dicts(d1: Mapping[str, Any], d2: Mapping[str, Any]) -> dict[str, Any]:
    """A new dict: d1 with d2's entries in it, dicts within dicts merged likewise."""
    merged = dict(d1)
    for key, value in d2.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            value = merge_dicts(merged[key], value)
        merged[key] = value
    return merged


def deep_update(
    original: dict[str, Any],
    new_dict: Mapping[str, Any],
    new_keys_allowed: bool = False,
    allow_new_subkey_list: Sequence[str] = (),
    *_: Any,
) -> dict[str, Any]:
    """Merges new_dict into original. KeyError for keys that are new, unless they are allowed there."""
    for key, value in new_dict.items():
        if key not in original and not new_keys_allowed:
            raise KeyError(f"unknown key {key!r}; there are {', '.join(map(str, original))}")
        if isinstance(value, Mapping) and isinstance(original.get(key), dict):
            deep_update(
                original[key], value, key in (allow_new_subkey_list or ()) or new_keys_allowed
            )
        else:
            original[key] = value
    return original


def unflattened_lookup(flat_key: str, lookup: Any, delimiter: str = "/", **kwargs: Any) -> Any:
    """lookup["a"]["b"] of "a/b". KeyError without a `default`."""
    place = lookup
    for part in flat_key.split(delimiter):
        try:
            place = place[int(part)] if isinstance(place, list | tuple) else place[part]
        except (KeyError, IndexError, ValueError, TypeError):
            if "default" in kwargs:
                return kwargs["default"]
            raise KeyError(flat_key) from None
    return place
