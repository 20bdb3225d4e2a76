"""Where programs for Ray find what Ray gives no public name; as much of it as they use."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "internal_api",
    "services",
    "state",
    "utils",
    "worker",
}  # there after `import ray`, as in Ray


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
