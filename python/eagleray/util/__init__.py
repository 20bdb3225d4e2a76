"""Utilities on top of the public API, with Ray's names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .. import _planned
from .._serialization import deregister_serializer, register_serializer
from .actor_pool import ActorPool
from .debug import disable_log_once_globally, enable_periodic_logging, log_once
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
    from . import collective, iter
    from . import debugpy as ray_debugpy
    from . import rpdb as pdb
    from ._progress import progress

__all__ = [
    "ActorPool",
    "accelerators",
    "as_completed",
    "collective",
    "deregister_serializer",
    "disable_log_once_globally",
    "enable_periodic_logging",
    "get_current_placement_group",
    "get_node_instance_id",
    "get_node_ip_address",
    "get_placement_group",
    "inspect_serializability",
    "iter",
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
    "annotations",
    "collective",
    "dask",
    "debug",
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
    "state",
)
_MODULES_BY_ANOTHER_NAME = {"pdb": "rpdb", "ray_debugpy": "debugpy"}


def explain(ref: Any, timeout: float = 10.0) -> Any:
    """Why `ref` (an ObjectRef, an actor's handle, or an id) is not there yet; or where it was made, how long each
    phase took, and how many bytes it cost. The answer prints as sentences; see docs/user/state.md. ValueError:
    nothing is known of it."""
    from .._explain import explain as made

    return made(ref, timeout)


def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """Names of the named actors of this namespace; with all_namespaces dicts of name and namespace."""
    from .._events import INTERNAL
    from .._state import client, state

    rows = client().list_actors(all_namespaces, state.namespace)
    if all_namespaces:
        return [
            {"name": name, "namespace": space}
            for name, space, _, _ in rows
            if not space.startswith(INTERNAL)
        ]
    return [name for name, _, _, _ in rows]


def get_node_ip_address() -> str:
    """The address of this node."""
    from .._node import node_ip

    return node_ip()


def get_node_instance_id() -> str:
    """The cloud's name of this machine, or "" where there is none."""
    return os.environ.get("RAY_CLOUD_INSTANCE_ID", "")


def __getattr__(name: str) -> Any:
    import importlib

    if name in _MODULES_BY_ANOTHER_NAME:
        return importlib.import_module(f".{_MODULES_BY_ANOTHER_NAME[name]}", __name__)
    if name == "progress":
        from ._progress import progress

        return progress
    if name in _SUBMODULES:
        return importlib.import_module(f".{name}", __name__)
    return _planned.find("util", name)
