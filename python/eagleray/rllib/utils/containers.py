"""Lists from whatever, classes with more bases, a context that does nothing."""

from __future__ import annotations

import contextlib
from typing import Any

__all__ = ["NullContextManager", "add_mixins", "force_list", "force_tuple"]

NullContextManager = contextlib.nullcontext


def force_list(elements: object = None, to_tuple: bool = False) -> Any:
    """A list of them: what is none already becomes one of one element; None, an empty one."""
    made = (
        []
        if elements is None
        else list(elements)
        if isinstance(elements, list | tuple | set)
        else [elements]
    )
    return tuple(made) if to_tuple else made


def force_tuple(elements: object = None) -> tuple[object, ...]:
    """force_list(), as a tuple."""
    return tuple(force_list(elements))


def add_mixins(base: type, mixins: Any, reversed: bool = False) -> type:
    """A class with further bases, before `base` (or after it: reversed)."""
    for mixin in force_list(mixins):
        parents = (base, mixin) if reversed else (mixin, base)
        base = type(base.__name__, parents, {})
    return base
