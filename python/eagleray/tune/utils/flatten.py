"""Nested dictionaries as flat ones, `a/b`, and back."""

from __future__ import annotations

from typing import Any


def flatten(
    nested: dict[str, Any], delimiter: str = "/", leave_out: tuple[str, ...] = ()
) -> dict[str, Any]:
    """One level, keys joined by the delimiter; empty dictionaries stay as values."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if key in leave_out:
            continue
        if isinstance(value, dict) and value:
            for inner, leaf in flatten(value, delimiter).items():
                flat[f"{key}{delimiter}{inner}"] = leaf
        else:
            flat[str(key)] = value
    return flat


def flatten_dict(
    dt: dict[str, Any], delimiter: str = "/", prevent_delimiter: bool = False
) -> dict[str, Any]:
    """flatten() under Ray's name. prevent_delimiter: ValueError for a key that has the delimiter in it."""
    if prevent_delimiter and any(delimiter in str(key) for key in dt):
        raise ValueError(f"a key has {delimiter!r} in it")
    return flatten(dt, delimiter)


def unflatten_dict(dt: dict[str, Any], delimiter: str = "/") -> dict[str, Any]:
    """Nested again."""
    nested: dict[str, Any] = {}
    for path, value in dt.items():
        *parents, last = str(path).split(delimiter)
        inner = nested
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return nested


def has(result: dict[str, Any], name: str) -> bool:
    """Whether a result has the field, by its key or its path with slashes; its value may be None."""
    if name in result:
        return True
    parent, _, last = name.rpartition("/")
    inner = lookup(result, parent) if parent else None
    return isinstance(inner, dict) and last in inner


def lookup(result: dict[str, Any], name: str) -> Any:
    """The field of a result, by its key or its path with slashes; None: it has none."""
    if name in result:
        return result[name]
    inner: Any = result
    for part in name.split("/"):
        if not isinstance(inner, dict) or part not in inner:
            return None
        inner = inner[part]
    return inner
