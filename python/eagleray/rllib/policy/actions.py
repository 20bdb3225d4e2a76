"""Actions between a policy and an environment: normalised, clipped, in the space's own type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

__all__ = ["ActionsToEnv", "clip_action", "normalize_action", "unsquash_action"]


def unsquash_action(action: Any, space: Any) -> Any:
    """[-1, 1] to [low, high] of bounded Box spaces, clipped to them; parts of Tuple and Dict spaces (or of tuples and
    dicts of spaces) likewise."""

    def one(value: Any, box: Any) -> Any:
        if not (np.all(np.isfinite(box.low)) and np.all(np.isfinite(box.high))):
            return value
        return np.clip(
            box.low + (value + 1.0) * (box.high - box.low) / 2.0, box.low, box.high
        ).astype(box.dtype)

    return _over_boxes(action, space, one)


def clip_action(action: Any, space: Any) -> Any:
    """Clipped to the bounds of Box spaces."""
    return _over_boxes(
        action, space, lambda value, box: np.clip(value, box.low, box.high).astype(box.dtype)
    )


def normalize_action(action: Any, space: Any) -> Any:
    """The inverse of unsquash_action(): [low, high] to [-1, 1]."""

    def one(value: Any, box: Any) -> Any:
        return (np.asarray(value, np.float32) - box.low) * 2.0 / (box.high - box.low) - 1.0

    return _over_boxes(action, space, one)


def _over_boxes(action: Any, space: Any, function: Any) -> Any:
    if isinstance(space, spaces.Box):
        return function(action, space) if np.issubdtype(space.dtype, np.floating) else action
    parts = getattr(space, "spaces", space)
    if isinstance(parts, Mapping):
        return {key: _over_boxes(action[key], part, function) for key, part in parts.items()}
    if isinstance(parts, tuple | list):
        return tuple(_over_boxes(a, part, function) for a, part in zip(action, parts, strict=True))
    return action


class ActionsToEnv:
    """What a policy's action is to the environment, as the configuration says. Rows in, rows out."""

    def __init__(self, space: Any, normalize: bool, clip: bool) -> None:
        self._space = space
        self._change = unsquash_action if normalize else clip_action if clip else None
        if not _has_float_box(space):
            self._change = None

    def __call__(self, actions: Any) -> Any:
        return self._change(actions, self._space) if self._change else actions


def _has_float_box(space: Any) -> bool:
    if isinstance(space, spaces.Box):
        return np.issubdtype(space.dtype, np.floating)
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        return any(_has_float_box(part) for part in parts)
    return False
