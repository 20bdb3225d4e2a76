"""Objects from what a configuration says: a class, its name, or a dict with "type" and arguments."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

from .names import unknown

__all__ = ["from_config", "from_file"]


def from_config(cls: Any, config: Any = None, **kwargs: Any) -> Any:
    """An object of `cls`: `config` is one already, a class, a dotted path, a name in cls.__type_registry__, a dict
    of these under "type" with the constructor's arguments, or such a dict's file. ValueError: nothing is so called."""
    if isinstance(cls, type) and isinstance(config, cls):
        return config
    settings = dict(config) if isinstance(config, Mapping) else {}
    kind = settings.pop("type", None) if isinstance(config, Mapping) else config
    if isinstance(kind, str) and kind.endswith((".json", ".yaml", ".yml")):
        return from_file(cls, kind, **kwargs)
    made = _class_of(cls, kind)
    return made(**{**settings, **kwargs})


def from_file(cls: Any, filename: str, *args: Any, **kwargs: Any) -> Any:
    """from_config() of a JSON (or, with PyYAML, YAML) file."""
    with open(filename) as file:
        if filename.endswith(".json"):
            settings = json.load(file)
        else:
            import yaml

            settings = yaml.safe_load(file)
    return from_config(cls, settings, **kwargs)


def _class_of(cls: Any, kind: Any) -> Any:
    if kind is None:
        return getattr(cls, "__default_constructor__", None) or cls
    if callable(kind):
        return kind
    registry = getattr(cls, "__type_registry__", None) or {}
    if kind in registry:
        return registry[kind]
    place, _, name = str(kind).rpartition(".")
    modules = [place] if place else [getattr(cls, "__module__", "").rpartition(".")[0]]
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError):
            continue
    raise ValueError(unknown(f"type of {getattr(cls, '__name__', cls)}", kind, registry))
