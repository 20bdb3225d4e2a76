"""Nested dicts, tuples and lists of values: what spaces make of observations and actions. Dicts go by sorted key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["leaves_of", "map_tree"]


def map_tree(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """function(leaf, leaf of each of the others) in the structure of `tree`."""
    if isinstance(tree, Mapping):
        return {
            key: map_tree(function, value, *(other[key] for other in others))
            for key, value in tree.items()
        }
    if isinstance(tree, list | tuple):
        parts = [
            map_tree(function, value, *(other[i] for other in others))
            for i, value in enumerate(tree)
        ]
        named: Any = type(tree)
        return named(*parts) if hasattr(tree, "_fields") else named(parts)
    return function(tree, *others)


def leaves_of(tree: Any) -> list[Any]:
    """The leaves in order."""
    if isinstance(tree, Mapping):
        return [leaf for key in sorted(tree, key=str) for leaf in leaves_of(tree[key])]
    if isinstance(tree, list | tuple):
        return [leaf for part in tree for leaf in leaves_of(part)]
    return [tree]
