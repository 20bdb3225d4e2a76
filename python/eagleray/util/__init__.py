"""Utilities on top of the public API, with Ray's names."""

from __future__ import annotations

from typing import Any

from .._serialization import deregister_serializer, register_serializer
from .actor_pool import ActorPool
from .helpers import as_completed, map_unordered
from .inspect_serializability import inspect_serializability
from .placement_group import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

__all__ = [
    "ActorPool",
    "as_completed",
    "deregister_serializer",
    "get_current_placement_group",
    "get_node_ip_address",
    "get_placement_group",
    "inspect_serializability",
    "list_named_actors",
    "log_once",
    "map_unordered",
    "placement_group",
    "placement_group_table",
    "register_serializer",
    "remove_placement_group",
]

_NOT_YET = (
    "accelerators",
    "disable_log_once_globally",
    "enable_periodic_logging",
    "iter",
    "pdb",
    "get_node_instance_id",
    "ray_debugpy",
    "collective",
    "connect",
    "disconnect",
    "multiprocessing",
    "joblib",
    "dask",
    "metrics",
    "state",
    "tracing",
    "spark",
    "rpdb",
)
_said: set[str] = set()


def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """Names of the named actors of this namespace; with all_namespaces dicts of name and namespace."""
    from .._state import client, state

    rows = client().list_actors(all_namespaces, state.namespace)
    if all_namespaces:
        return [{"name": name, "namespace": space} for name, space, _, _ in rows]
    return [name for name, _, _, _ in rows]


def get_node_ip_address() -> str:
    """The address of this node."""
    from .._node import node_ip

    return node_ip()


def log_once(key: str) -> bool:
    """True the first time it is called with `key` in this process."""
    if key in _said:
        return False
    _said.add(key)
    return True


def __getattr__(name: str) -> Any:
    import importlib

    if name in ("queue", "scheduling_strategies", "actor_pool", "helpers"):
        return importlib.import_module(f".{name}", __name__)
    if name in _NOT_YET:
        raise NotImplementedError(f"ray.util.{name} is not implemented yet")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
