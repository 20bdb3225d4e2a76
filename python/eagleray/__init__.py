"""eagleray: tasks, actors and objects across processes. `import eagleray as ray` keeps Ray's API."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from . import _planned
from ._api import (
    RayContext,
    available_resources,
    cancel,
    cluster_resources,
    get,
    get_actor,
    get_gpu_ids,
    init,
    is_initialized,
    kill,
    nodes,
    put,
    remote,
    shutdown,
    timeline,
    wait,
)
from ._core import ObjectRef
from ._futures import extend_object_ref

__version__ = "0.1.0"
__commit__ = "dev"
logger = logging.getLogger("eagleray")

extend_object_ref(ObjectRef)
_planned.install()
ObjectID = ObjectRef

SCRIPT_MODE = 0
WORKER_MODE = 1
LOCAL_MODE = 2

if TYPE_CHECKING:
    from ._actor import method
    from ._generator import DynamicObjectRefGenerator, ObjectRefGenerator
    from ._ids import (
        ActorClassID,
        ActorID,
        FunctionID,
        JobID,
        NodeID,
        PlacementGroupID,
        TaskID,
        UniqueID,
        WorkerID,
    )
    from .job_config import LoggingConfig
    from .runtime_context import get_runtime_context

_LAZY = {
    "method": "._actor",
    "ObjectRefGenerator": "._generator",
    "DynamicObjectRefGenerator": "._generator",
    "get_runtime_context": ".runtime_context",
    "LoggingConfig": ".job_config",
    **{
        name: "._ids"
        for name in (
            "ActorClassID",
            "ActorID",
            "FunctionID",
            "JobID",
            "NodeID",
            "PlacementGroupID",
            "TaskID",
            "UniqueID",
            "WorkerID",
        )
    },
}
_SUBMODULES = {
    "util",
    "exceptions",
    "actor",
    "runtime_context",
    "runtime_env",
    "cloudpickle",
    "types",
    "internal",
    "_private",
    "_raylet",
    "job_config",
    "job_submission",
    "experimental",
    "air",
    "dag",
    "rllib",
    "train",
    "tune",
    "widgets",
}
__all__ = [
    "LOCAL_MODE",
    "SCRIPT_MODE",
    "WORKER_MODE",
    "ActorClassID",
    "ActorID",
    "DynamicObjectRefGenerator",
    "FunctionID",
    "JobID",
    "LoggingConfig",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "ObjectRefGenerator",
    "PlacementGroupID",
    "RayContext",
    "TaskID",
    "UniqueID",
    "WorkerID",
    "__version__",
    "available_resources",
    "cancel",
    "cluster_resources",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "init",
    "is_initialized",
    "kill",
    "method",
    "nodes",
    "put",
    "remote",
    "shutdown",
    "timeline",
    "wait",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name], __name__), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return importlib.import_module(f".{name}", __name__)
    return _planned.find("", name)
