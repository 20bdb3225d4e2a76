"""From what an environment shows to what a net takes: flat float32 vectors, or images as they are.

Discrete values become one-hot; Tuple and Dict spaces are flattened in the order of their parts (Dicts by
sorted key), nested to any depth; Box spaces of one or two axes and images pass through.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

__all__ = ["Preprocessor", "get_preprocessor", "get_preprocessor_for_space", "unflatten"]

IMAGE_AXES = 3


class Preprocessor:
    """Turns observations of `space` into arrays of `shape`. ValueError for a space without a rule."""

    def __init__(self, space: Any, options: dict[str, Any] | None = None) -> None:
        self._obs_space = space
        self.options = options or {}
        self._passes = isinstance(space, spaces.Box)
        self.shape: tuple[int, ...] = tuple(space.shape) if self._passes else (flat_size(space),)
        self.dtype = np.uint8 if self._passes and space.dtype == np.uint8 else np.float32

    @property
    def size(self) -> int:
        """Numbers in one observation."""
        return int(np.prod(self.shape, dtype=int))

    @property
    def observation_space(self) -> Any:
        """The space of what transform() gives; its `original_space` is that of the environment."""
        if self._passes:
            return self._obs_space
        box = spaces.Box(-np.inf, np.inf, self.shape, np.float32)
        box.original_space = self._obs_space
        return box

    def transform(self, observation: Any) -> Any:
        """One observation as an array of `shape`."""
        if self._passes:
            array = np.asarray(observation, self.dtype)
            if array.shape != self.shape:
                raise ValueError(
                    f"observation of shape {array.shape}, but the observation space has {self.shape}"
                )
            return array
        out = np.zeros(self.shape, np.float32)
        end = write_flat(self._obs_space, observation, out, 0)
        assert end == len(out)
        return out


class NoPreprocessor(Preprocessor):
    """Of Box spaces: as they are."""


def get_preprocessor_for_space(space: Any, options: dict[str, Any] | None = None) -> Preprocessor:
    """The preprocessor of observations in `space`."""
    return (NoPreprocessor if isinstance(space, spaces.Box) else Preprocessor)(space, options)


def get_preprocessor(space: Any) -> type[Preprocessor]:
    """The class of the preprocessor for `space`."""
    return NoPreprocessor if isinstance(space, spaces.Box) else Preprocessor


def flat_size(space: Any) -> int:
    """Numbers in a flattened observation of `space`."""
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(np.sum(space.nvec))
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return int(np.prod(space.shape, dtype=int))
    if isinstance(space, spaces.Tuple | spaces.Dict):
        return sum(flat_size(part) for _, part in parts_of(space))
    raise ValueError(
        f"there is no preprocessor for {type(space).__name__} spaces; wrap the environment so that it gives "
        "Box, Discrete, MultiDiscrete, MultiBinary, Tuple or Dict"
    )


def parts_of(space: Any) -> list[tuple[Any, Any]]:
    """(key, space) of a Tuple or Dict space, in the order in which they are flattened."""
    if isinstance(space, spaces.Dict):
        return [(key, space.spaces[key]) for key in sorted(space.spaces, key=str)]
    return list(enumerate(space.spaces))


def write_flat(space: Any, value: Any, out: Any, at: int) -> int:
    """Writes `value` into out[at:], and gives where the next one begins."""
    if isinstance(space, spaces.Discrete):
        out[at + int(value) - int(space.start)] = 1.0
        return at + int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        for choice, size in zip(np.ravel(value), np.ravel(space.nvec), strict=True):
            out[at + int(choice)] = 1.0
            at += int(size)
        return at
    if isinstance(space, spaces.Tuple | spaces.Dict):
        for key, part in parts_of(space):
            at = write_flat(part, value[key], out, at)
        return at
    array = np.asarray(value, np.float32).ravel()
    out[at : at + array.size] = array
    return at + int(array.size)


def unflatten(space: Any, flat: Any) -> Any:
    """The parts of flattened observations [..., n] (arrays or tensors) in the structure of `space`; Discrete
    parts stay one-hot. The inverse of a Preprocessor, for models that want their Dict back."""
    if not isinstance(space, spaces.Tuple | spaces.Dict):
        shape = tuple(space.shape) if isinstance(space, spaces.Box) else ()
        return flat.reshape(tuple(flat.shape[:-1]) + shape) if len(shape) > 1 else flat
    pieces: dict[Any, Any] = {}
    at = 0
    for key, part in parts_of(space):
        size = flat_size(part)
        pieces[key] = unflatten(part, flat[..., at : at + size])
        at += size
    return pieces if isinstance(space, spaces.Dict) else tuple(pieces.values())
