"""Looks for what cannot be pickled in a value."""

from __future__ import annotations

from typing import Any

from .._serialization import _offending, _picklable


def inspect_serializability(
    base_obj: Any, name: str | None = None, depth: int = 3, print_file: Any = None
) -> tuple[bool, set[str]]:
    """(True, empty set) when `base_obj` can be pickled; otherwise False and the names of the innermost
    members that cannot, looked for `depth` levels down; prints them too."""
    name = name or str(base_obj)
    error = _picklable(base_obj)
    if error is None:
        return True, set()
    found = _offending(base_obj, name, depth + 1) or name
    print(f"Serialization of {name} failed: {error}\n  because of: {found}", file=print_file)
    return False, {found}
