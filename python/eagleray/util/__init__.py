"""Utilities on top of the public API, with Ray's names."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from .. import _planned
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

if TYPE_CHECKING:
    from . import debugpy as ray_debugpy
    from . import rpdb as pdb
    from ._progress import progress

__all__ = [
    "ActorPool",
    "accelerators",
    "as_completed",
    "deregister_serializer",
    "disable_log_once_globally",
    "enable_periodic_logging",
    "get_current_placement_group",
    "get_node_instance_id",
    "get_node_ip_address",
    "get_placement_group",
    "inspect_serializability",
    "list_named_actors",
    "log_once",
    "map_unordered",
    "pdb",
    "placement_group",
    "placement_group_table",
    "progress",
    "ray_debugpy",
    "register_serializer",
    "remove_placement_group",
]

_SUBMODULES = (
    "collective",
    "dask",
    "accelerators",
    "queue",
    "rpdb",
    "scheduling_strategies",
    "tracing",
    "actor_pool",
    "helpers",
    "iter",
    "joblib",
    "metrics",
    "multiprocessing",
    "serialization",
)
_MODULES_BY_ANOTHER_NAME = {"pdb": "rpdb", "ray_debugpy": "debugpy"}
_said: set[str] = set()
_once_disabled = False
_period_s: float | None = None
_last_said: dict[str, float] = {}


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


def get_node_instance_id() -> str:
    """The cloud's name of this machine, or "" where there is none."""
    return os.environ.get("RAY_CLOUD_INSTANCE_ID", "")


def log_once(key: str) -> bool:
    """True the first time it is called with `key` in this process; with enable_periodic_logging() also when a
    minute has passed since the last time."""
    if _once_disabled:
        return False
    if key not in _said:
        _said.add(key)
        _last_said[key] = time.monotonic()
        return True
    if _period_s is not None and time.monotonic() - _last_said[key] > _period_s:
        _last_said[key] = time.monotonic()
        return True
    return False


def disable_log_once_globally() -> None:
    """From here on log_once() is always False in this process."""
    global _once_disabled
    _once_disabled = True


def enable_periodic_logging() -> None:
    """From here on log_once() is True once a minute for each key."""
    global _period_s, _once_disabled
    _period_s, _once_disabled = 60.0, False


def __getattr__(name: str) -> Any:
    import importlib

    if name in _MODULES_BY_ANOTHER_NAME:
        return importlib.import_module(f".{_MODULES_BY_ANOTHER_NAME[name]}", __name__)
    if name == "progress":
        from ._progress import progress

        return progress
    if name in _SUBMODULES or f"util.{name}" in _planned.PLANNED:
        return importlib.import_module(f".{name}", __name__)
    return _planned.find("util", name)
