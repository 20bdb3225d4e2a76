"""Ray's `ray.experimental`, as far as it exists."""

from __future__ import annotations

from typing import Any

from .dynamic_resources import set_resource
from .locations import get_local_object_locations, get_object_locations

__all__ = ["get_local_object_locations", "get_object_locations", "set_resource"]


def __getattr__(name: str) -> Any:
    import importlib

    from .. import _planned

    if name in ("channel", "collective", "compiled_dag_ref", "internal_kv", "tqdm_ray"):
        return importlib.import_module(f".{name}", __name__)
    return _planned.find("experimental", name)
