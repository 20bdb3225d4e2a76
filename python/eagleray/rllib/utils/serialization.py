"""Spaces and classes as plain dicts and strings, for files that other programs read."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from .spaces.repeated import Repeated
from .spaces.simplex import Simplex

__all__ = [
    "NOT_SERIALIZABLE",
    "check_if_args_kwargs_serializable",
    "convert_numpy_to_python_primitives",
    "deserialize_type",
    "gym_space_from_dict",
    "gym_space_to_dict",
    "serialize_type",
    "space_from_dict",
    "space_to_dict",
]

NOT_SERIALIZABLE = "__not_serializable__"


def convert_numpy_to_python_primitives(obj: Any) -> Any:
    """Numbers and arrays of numpy in a nested structure as Python's numbers and lists."""
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, np.ndarray):
        return obj.tolist()
    if isinstance(obj, Mapping):
        return {key: convert_numpy_to_python_primitives(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return type(obj)(convert_numpy_to_python_primitives(value) for value in obj)
    return obj


def gym_space_to_dict(space: Any) -> dict[str, Any]:
    """A space as a dict of plain values. ValueError: a class without a rule."""
    kind = type(space)
    if kind is spaces.Box:
        return {
            "space": "box",
            "low": space.low.tolist(),
            "high": space.high.tolist(),
            "shape": list(space.shape),
            "dtype": space.dtype.str,
        }
    if kind is spaces.Discrete:
        return {"space": "discrete", "n": int(space.n), "start": int(space.start)}
    if kind is spaces.MultiBinary:
        return {"space": "multi-binary", "n": np.asarray(space.n).tolist()}
    if kind is spaces.MultiDiscrete:
        return {
            "space": "multi-discrete",
            "nvec": space.nvec.tolist(),
            "dtype": space.dtype.str,
            "start": space.start.tolist(),
        }
    if kind is spaces.Text:
        return {
            "space": "text",
            "min_length": space.min_length,
            "max_length": space.max_length,
            "charset": "".join(sorted(space.character_set)),
        }
    if kind is spaces.Tuple:
        return {"space": "tuple", "spaces": [gym_space_to_dict(part) for part in space.spaces]}
    if isinstance(space, spaces.Dict):
        return {
            "space": "dict",
            "spaces": {key: gym_space_to_dict(part) for key, part in space.spaces.items()},
        }
    if kind is Simplex:
        return {
            "space": "simplex",
            "shape": list(space.shape),
            "concentration": list(space.concentration),
            "dtype": space.dtype.str,
        }
    if kind is Repeated:
        return {
            "space": "repeated",
            "child_space": gym_space_to_dict(space.child_space),
            "max_len": space.max_len,
        }
    raise ValueError(f"no rule for writing a {kind.__name__} space")


def gym_space_from_dict(d: Mapping[str, Any]) -> Any:
    """The space of which gym_space_to_dict() made this."""
    made = dict(d)
    kind = made.pop("space")
    if kind == "box":
        dtype = np.dtype(made["dtype"])
        low, high = (np.array(made[side], dtype) for side in ("low", "high"))
        return spaces.Box(low, high, tuple(made["shape"]), dtype)
    if kind in ("discrete", "multi-binary", "text"):
        classes: dict[str, Any] = {
            "discrete": spaces.Discrete,
            "multi-binary": spaces.MultiBinary,
            "text": spaces.Text,
        }
        return classes[kind](**made)
    if kind == "multi-discrete":
        return spaces.MultiDiscrete(
            np.array(made["nvec"]), np.dtype(made["dtype"]), start=np.array(made["start"])
        )
    if kind == "tuple":
        return spaces.Tuple([gym_space_from_dict(part) for part in made["spaces"]])
    if kind == "dict":
        return spaces.Dict({k: gym_space_from_dict(part) for k, part in made["spaces"].items()})
    if kind == "simplex":
        return Simplex(made["shape"], made["concentration"], np.dtype(made["dtype"]))
    if kind == "repeated":
        return Repeated(gym_space_from_dict(made["child_space"]), made["max_len"])
    raise ValueError(f"unknown kind of space {kind!r}")


def space_to_dict(space: Any) -> dict[str, Any]:
    """gym_space_to_dict(), with the environment's space of a preprocessed one under "original_space"."""
    made = gym_space_to_dict(space)
    if hasattr(space, "original_space"):
        made["original_space"] = space_to_dict(space.original_space)
    return made


def space_from_dict(d: Mapping[str, Any]) -> Any:
    """The inverse of space_to_dict()."""
    made = dict(d)
    original = made.pop("original_space", None)
    space = gym_space_from_dict(made)
    if original is not None:
        space.original_space = space_from_dict(original)
    return space


def check_if_args_kwargs_serializable(args: Any, kwargs: Mapping[str, Any]) -> None:
    """NotSerializable: one of them cannot be pickled; it is named."""
    from eagleray import cloudpickle

    from .error import NotSerializable

    named = [*((f"argument {i}", value) for i, value in enumerate(args)), *kwargs.items()]
    for name, value in named:
        try:
            cloudpickle.dumps(value)
        except Exception as error:
            raise NotSerializable(f"{name} ({value!r}) cannot be pickled: {error}") from error


def serialize_type(type_: Any) -> str:
    """The dotted path of a class."""
    return type_ if isinstance(type_, str) else f"{type_.__module__}.{type_.__qualname__}"


def deserialize_type(module: Any, error: bool = False) -> Any:
    """The class of a dotted path; where there is none, the path itself, or (error) a ValueError."""
    if not isinstance(module, str):
        return module
    place, _, name = module.rpartition(".")
    try:
        return getattr(importlib.import_module(place), name)
    except (ImportError, AttributeError, ValueError) as problem:
        if error:
            raise ValueError(f"no class {module!r}: {problem}") from problem
        return module
