"""Nodes inside of values: finding them, and putting other values in their places.

Lists, tuples, dicts, sets and dataclass-like objects of the program are looked into; what is found in an object
is put back into a copy, the rest of an argument stays the very object that was bound.
"""

from __future__ import annotations

import functools
import io
import pickle
import types
from collections.abc import Callable
from typing import Any


class DAGNodeBase:
    """What a scan stops at."""


_PLAIN = (
    *(int, float, complex, bool, str, bytes, bytearray, type(None), type, range, slice),
    *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType),
)
# Objects of these hold no nodes; some of them are large, and references would be pinned by a pickle.
_LEAF_PACKAGES = {"builtins", "numpy", "pandas", "pyarrow", "torch", "eagleray", "nanobind"}


def _is_leaf(value: Any) -> bool:
    kind = type(value)
    return kind in _PLAIN or kind.__module__.partition(".")[0] in _LEAF_PACKAGES


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _rebuild_like(value: Any) -> Callable[[list[Any]], Any]:
    return type(value)._make if _is_namedtuple(value) else type(value)


def nodes_in(value: Any) -> list[Any]:
    """The nodes in `value`, each once, in the order in which they are met; not the nodes inside of nodes."""
    found: dict[int, Any] = {}
    _walk(value, found, set())
    return list(found.values())


def _walk(value: Any, found: dict[int, Any], seen: set[int]) -> None:
    if isinstance(value, DAGNodeBase):
        found.setdefault(id(value), value)
        return
    if id(value) in seen:
        return
    if isinstance(value, (list, tuple, set, frozenset)):
        seen.add(id(value))
        for item in value:
            _walk(item, found, seen)
    elif isinstance(value, dict):
        seen.add(id(value))
        for key, item in value.items():
            _walk(key, found, seen)
            _walk(item, found, seen)
    elif not _is_leaf(value):
        for node in _nodes_of_object(value)[1]:
            found.setdefault(id(node), node)


@functools.lru_cache(1)
def _pickler_type() -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def __init__(self, out: Any) -> None:
            super().__init__(out, protocol=5)
            self.kept: list[Any] = []  # nodes and leaves: the copy gets the same

        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, DAGNodeBase):
                package = type(value).__module__.partition(".")[0]
                if package == "builtins" or package not in _LEAF_PACKAGES:
                    return None
            self.kept.append(value)
            return len(self.kept) - 1

    return Pickler


def _nodes_of_object(value: Any) -> tuple[Any, list[Any]]:
    """The pickler that has gone through the object, and the nodes that it has met; none in what does not pickle."""
    out = io.BytesIO()
    pickler = _pickler_type()(out)
    pickler.out = out
    try:
        pickler.dump(value)
    except Exception:
        return pickler, []
    return pickler, [each for each in pickler.kept if isinstance(each, DAGNodeBase)]


def replaced(value: Any, table: Callable[[Any], Any]) -> Any:
    """`value` with `table(node)` for each node in it."""
    if isinstance(value, DAGNodeBase):
        return table(value)
    if _is_leaf(value) and not isinstance(value, (list, tuple, set, frozenset, dict)):
        return value
    if not nodes_in(value):
        return value
    if isinstance(value, dict):
        items = {replaced(k, table): replaced(v, table) for k, v in value.items()}
        return items if type(value) is dict else type(value)(items)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _rebuild_like(value)([replaced(item, table) for item in value])
    pickler, _ = _nodes_of_object(value)

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, number: Any) -> Any:
            kept = pickler.kept[number]
            return table(kept) if isinstance(kept, DAGNodeBase) else kept

    pickler.out.seek(0)
    return Unpickler(pickler.out).load()
