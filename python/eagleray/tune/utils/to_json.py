"""Results and configs as JSON: numpy's numbers and arrays as numbers and lists, all else by its name."""

from __future__ import annotations

import json
from typing import Any


def dumps(value: Any, **options: Any) -> str:
    """One line. Never fails for the kind of a value: what JSON has no form for becomes its repr."""
    try:
        return json.dumps(value, default=plain, **options) if options else _encode(value)
    except (TypeError, ValueError):  # keys that are no strings, or a cycle
        return json.dumps(_keys_as_text(value, 20), default=plain, **options)


def plain(value: Any) -> Any:
    """What json.dumps asks for a value that it does not know."""
    if hasattr(value, "tolist"):  # arrays and scalars of numpy, tensors
        return value.tolist()
    if isinstance(value, type):
        return f"<class '{value.__module__}.{value.__qualname__}'>"
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    if callable(value) and hasattr(value, "__qualname__"):
        return f"<function {value.__module__}.{value.__qualname__}>"
    return repr(value)


def _keys_as_text(value: Any, depth: int) -> Any:
    if depth == 0:
        return repr(value)[:200]
    if isinstance(value, dict):
        return {str(key): _keys_as_text(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_keys_as_text(inner, depth - 1) for inner in value]
    return value


_encode = json.JSONEncoder(default=plain).encode  # json.dumps() makes one for each call
