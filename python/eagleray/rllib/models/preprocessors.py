"""From what an environment shows to what a net takes: flat float32 vectors, or images as they are.

Discrete values become one-hot; Tuple and Dict spaces are flattened in the order of their parts (Dicts by
sorted key), nested to any depth; Box spaces of one or two axes and images pass through.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

__all__ = [
    "AtariRamPreprocessor",
    "DictFlatteningPreprocessor",
    "GenericPixelPreprocessor",
    "MultiBinaryPreprocessor",
    "NoPreprocessor",
    "OneHotPreprocessor",
    "Preprocessor",
    "RepeatedValuesPreprocessor",
    "TupleFlatteningPreprocessor",
    "get_preprocessor",
    "get_preprocessor_for_space",
    "unflatten",
]

IMAGE_AXES = 3


class Preprocessor:
    """Turns observations of `space` into arrays of `shape`. ValueError for a space without a rule.

    One of the user's own (config["model"]["custom_preprocessor"]) defines _init_shape(space, options) -> shape, and
    transform(observation) -> array of it.
    """

    dtype: Any = np.float32

    def __init__(self, space: Any, options: dict[str, Any] | None = None) -> None:
        self._obs_space = space
        self.options = self._options = options or {}
        self.shape: tuple[int, ...] = tuple(int(n) for n in self._init_shape(space, self.options))

    def _init_shape(self, obs_space: Any, options: dict[str, Any]) -> Any:
        return (flat_size(obs_space),)

    @property
    def size(self) -> int:
        """Numbers in one observation."""
        return int(np.prod(self.shape, dtype=int))

    @property
    def observation_space(self) -> Any:
        """The space of what transform() gives; its `original_space` is that of the environment."""
        box = spaces.Box(-np.inf, np.inf, self.shape, np.float32)
        box.original_space = self._obs_space
        return box

    def transform(self, observation: Any) -> Any:
        """One observation as an array of `shape`."""
        out = np.zeros(self.shape, np.float32)
        end = write_flat(self._obs_space, observation, out, 0)
        assert end == len(out)
        return out

    def write(self, observation: Any, array: Any, offset: int) -> None:
        """Writes what transform() gives into array[offset:], flat."""
        array[offset : offset + self.size] = np.ravel(self.transform(observation))

    def check_shape(self, observation: Any) -> None:
        """ValueError: the observation is not in the space."""
        if not self._obs_space.contains(observation):
            raise ValueError(f"an observation is not in {self._obs_space}: {observation!r}")


class NoPreprocessor(Preprocessor):
    """Of Box spaces: as they are."""

    def __init__(self, space: Any, options: dict[str, Any] | None = None) -> None:
        super().__init__(space, options)
        if space.dtype == np.uint8:
            self.dtype = np.uint8

    def _init_shape(self, obs_space: Any, options: dict[str, Any]) -> Any:
        return obs_space.shape

    @property
    def observation_space(self) -> Any:
        return self._obs_space

    def transform(self, observation: Any) -> Any:
        array = np.asarray(observation, self.dtype)
        if array.shape != self.shape:
            raise ValueError(
                f"observation of shape {array.shape}, but the observation space has {self.shape}"
            )
        return array


class OneHotPreprocessor(Preprocessor):
    """Of Discrete and MultiDiscrete spaces."""


class MultiBinaryPreprocessor(Preprocessor):
    """Of MultiBinary spaces."""


class TupleFlatteningPreprocessor(Preprocessor):
    """Of Tuple spaces."""


class DictFlatteningPreprocessor(Preprocessor):
    """Of Dict spaces."""


class RepeatedValuesPreprocessor(Preprocessor):
    """Of Repeated spaces: how many there are, then `max_len` places, the empty ones zero."""


class AtariRamPreprocessor(Preprocessor):
    """Of the 128 bytes of an Atari's memory: within [-1, 1]."""

    def _init_shape(self, obs_space: Any, options: dict[str, Any]) -> Any:
        return obs_space.shape

    def transform(self, observation: Any) -> Any:
        return (np.asarray(observation, np.float32) - 128.0) / 128.0


class GenericPixelPreprocessor(Preprocessor):
    """Of Atari's pictures where `preprocessor_pref` is not "deepmind": the playing field in `dim` x `dim`, grey with
    `grayscale`, around zero with `zero_mean`, else within [0, 1]."""

    def _init_shape(self, obs_space: Any, options: dict[str, Any]) -> Any:
        dim = options.get("dim", 84)
        return (dim, dim, 1 if options.get("grayscale") else 3)

    def transform(self, observation: Any) -> Any:
        from ..utils.images import resize

        field = np.asarray(observation, np.float32)[25:-25]
        small = resize(field, self.shape[0], self.shape[1])
        if self.shape[2] == 1:
            small = small.mean(axis=2, keepdims=True)
        if self.options.get("zero_mean", True):
            return (small - 128.0) / 128.0
        return small / 255.0


_ATARI_PICTURE = (210, 160, 3)
_ATARI_RAM = (128,)


def get_preprocessor_for_space(space: Any, options: dict[str, Any] | None = None) -> Preprocessor:
    """The preprocessor of observations in `space`: the user's own, if options["custom_preprocessor"] names one."""
    custom = (options or {}).get("custom_preprocessor")
    if custom:
        from .catalog import lookup

        made: Preprocessor = lookup("RLLIB_PREPROCESSOR", custom)(space, options)
        return made
    return get_preprocessor(space)(space, options)


def get_preprocessor(space: Any) -> type[Preprocessor]:
    """The class of the preprocessor for `space`. ValueError: there is none."""
    if isinstance(space, spaces.Box):
        if space.shape == _ATARI_PICTURE and space.dtype == np.uint8:
            return GenericPixelPreprocessor
        if space.shape == _ATARI_RAM and space.dtype == np.uint8:
            return AtariRamPreprocessor
        return NoPreprocessor
    by_class: dict[Any, type[Preprocessor]] = {
        spaces.Discrete: OneHotPreprocessor,
        spaces.MultiDiscrete: OneHotPreprocessor,
        spaces.MultiBinary: MultiBinaryPreprocessor,
        spaces.Tuple: TupleFlatteningPreprocessor,
        spaces.Dict: DictFlatteningPreprocessor,
    }
    if _is_repeated(space):
        return RepeatedValuesPreprocessor
    if type(space).__name__ == "Simplex":
        return NoPreprocessor
    for kind, made in by_class.items():
        if isinstance(space, kind):
            return made
    return Preprocessor  # which says what it has rules for


def _is_repeated(space: Any) -> bool:
    return hasattr(space, "child_space") and hasattr(space, "max_len")


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
    if _is_repeated(space):
        return 1 + space.max_len * flat_size(space.child_space)
    raise ValueError(
        f"there is no preprocessor for {type(space).__name__} spaces; wrap the environment so that it gives "
        "Box, Discrete, MultiDiscrete, MultiBinary, Tuple, Dict or Repeated"
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
        for choice, size in zip(
            np.ravel(np.asarray(value) - space.start), np.ravel(space.nvec), strict=True
        ):
            out[at + int(choice)] = 1.0
            at += int(size)
        return at
    if isinstance(space, spaces.Tuple | spaces.Dict):
        for key, part in parts_of(space):
            at = write_flat(part, value[key], out, at)
        return at
    if _is_repeated(space):
        if len(value) > space.max_len:
            raise ValueError(f"{len(value)} values, but {space} has room for {space.max_len}")
        out[at], start, size = len(value), at + 1, flat_size(space.child_space)
        for i, part in enumerate(value):
            write_flat(space.child_space, part, out, start + i * size)
        return start + space.max_len * size
    array = np.asarray(value, np.float32).ravel()
    out[at : at + array.size] = array
    return at + int(array.size)


def was_flattened(original: Any, space: Any) -> bool:
    """Whether `space` is what a preprocessor of ours makes of a space with parts."""
    if not (isinstance(original, spaces.Tuple | spaces.Dict) or _is_repeated(original)):
        return False
    return tuple(space.shape) == (flat_size(original),)


def unflatten(space: Any, flat: Any) -> Any:
    """The parts of flattened observations [..., n] (arrays or tensors) in the structure of `space`; Discrete
    parts stay one-hot. The inverse of a Preprocessor, for models that want their Dict back."""
    if _is_repeated(space):
        return _unflatten_repeated(space, flat)
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


def _unflatten_repeated(space: Any, flat: Any) -> Any:
    from .repeated_values import RepeatedValues

    places = flat[..., 1:].reshape((*flat.shape[:-1], space.max_len, -1))
    return RepeatedValues(unflatten(space.child_space, places), flat[..., 0], space.max_len)
