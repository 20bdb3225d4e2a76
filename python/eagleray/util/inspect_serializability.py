"""Looks for what cannot be pickled in a value."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any

from .._serialization import _picklable

MEMBERS_MAX = 1000  # of one container or object that are looked at


class FailureTuple:
    """What cannot be pickled: the object `obj`, `path`, the names that lead to it, and its `parent`, the object
    that refers to it."""

    def __init__(self, obj: Any, path: tuple[str, ...], parent: Any) -> None:
        self.obj = obj
        self.path = path
        self.parent = parent

    def __repr__(self) -> str:
        name = self.path[-1] if self.path else "unknown"
        return f"FailTuple({name} [path={' -> '.join(self.path)}, obj={self.obj}, parent={self.parent}])"


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value refers to, by the names that its code uses."""
    if isinstance(value, types.MethodType):
        yield "__func__", value.__func__
        yield "__self__", value.__self__
    elif inspect.isfunction(value):
        try:
            found = inspect.getclosurevars(value)
        except ValueError:  # a variable that has no value yet
            return
        yield from found.nonlocals.items()
        yield from found.globals.items()
    elif isinstance(value, dict):
        for key, item in value.items():
            yield f"[{key!r}]", item
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif hasattr(value, "__dict__"):
        own = vars(value).items()
        yield from ((name, item) for name, item in own if not _is_special(name))


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _search(
    value: Any, path: tuple[str, ...], parent: Any, depth: int, seen: set[int]
) -> FailureTuple | None:
    """The innermost failure, at most `depth` steps away."""
    if id(value) in seen or _picklable(value) is None:
        return None
    seen.add(id(value))
    if depth > 0:
        for count, (name, item) in enumerate(_members(value)):
            found = _search(item, (*path, name), value, depth - 1, seen)
            if found is not None or count >= MEMBERS_MAX:
                return found or FailureTuple(value, path, parent)
    return FailureTuple(value, path, parent)


def inspect_serializability(
    base_obj: Any, name: str | None = None, depth: int = 3, print_file: Any = None
) -> tuple[bool, set[FailureTuple]]:
    """(True, empty set) when `base_obj` can be pickled; otherwise False and what in it cannot, looked for
    `depth` steps deep: variables of functions, attributes, and (Ray does not look there) members of containers.
    Prints what it finds, to `print_file` if given. `name` is what it calls base_obj."""
    error = _picklable(base_obj)
    if error is None:
        return True, set()
    found = _search(base_obj, () if name is None else (name,), None, depth, set())
    assert found is not None  # as there is an error
    print(
        f"Serialization of {name or base_obj} failed: {error}\n  because of: {found}\n"
        "  Make it where it is used, or say how to pickle it with ray.util.register_serializer().",
        file=print_file,
    )
    return False, {found}
