"""Values of nested spaces: batches of them, flat ones, actions between a policy and an environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from ...policy.actions import clip_action, normalize_action, unsquash_action
from ..trees import leaves_of, map_tree

__all__ = [
    "BatchedNdArray",
    "batch",
    "clip_action",
    "convert_element_to_space_type",
    "flatten_space",
    "flatten_to_single_ndarray",
    "get_base_struct_from_space",
    "get_dummy_batch_for_space",
    "get_original_space",
    "is_composite_space",
    "normalize_action",
    "unbatch",
    "unsquash_action",
]


class BatchedNdArray(np.ndarray):
    """An array that is a batch already: batch(..., individual_items_already_have_batch_dim="auto") joins it."""

    def __new__(cls, array: Any) -> BatchedNdArray:
        return np.asarray(array).view(cls)


def get_original_space(space: Any) -> Any:
    """The environment's space of a preprocessed one."""
    return getattr(space, "original_space", space)


def is_composite_space(space: Any) -> bool:
    """Whether it is made of others: Dict, Tuple..."""
    return not isinstance(
        space,
        spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary | spaces.Text,
    )


def get_base_struct_from_space(space: Any) -> Any:
    """Nested dicts and tuples of the spaces that have no parts."""
    if isinstance(space, spaces.Dict):
        return {key: get_base_struct_from_space(part) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(get_base_struct_from_space(part) for part in space.spaces)
    return space


def flatten_space(space: Any) -> list[Any]:
    """The spaces that have no parts, in order."""
    return leaves_of(get_base_struct_from_space(space))


def flatten_to_single_ndarray(input_: Any) -> Any:
    """All values of a nested structure as one array [n]."""
    if not isinstance(input_, list | tuple | dict):
        return input_
    return np.concatenate([np.reshape(leaf, [-1]) for leaf in leaves_of(input_)], axis=0)


def batch(
    list_of_structs: Sequence[Any],
    *,
    individual_items_already_have_batch_dim: bool | str = False,
) -> Any:
    """One structure whose leaves are the stacked (or, if they have a batch axis, joined) leaves of all."""
    if not list_of_structs:
        raise ValueError("batch() needs at least one structure")
    joined = individual_items_already_have_batch_dim
    if joined == "auto":
        joined = isinstance(leaves_of(list_of_structs[0])[0], BatchedNdArray)
    put = np.concatenate if joined else np.stack
    first, *rest = list_of_structs
    return map_tree(lambda *parts: put([np.asarray(part) for part in parts]), first, *rest)


def unbatch(batches_struct: Any) -> list[Any]:
    """The inverse of batch(): a list of structures."""
    leaves = leaves_of(batches_struct)
    if not leaves:
        return []
    return [map_tree(lambda leaf, i=i: leaf[i], batches_struct) for i in range(len(leaves[0]))]


def get_dummy_batch_for_space(
    space: Any,
    batch_size: int = 32,
    *,
    fill_value: float | str = 0.0,
    time_size: int | None = None,
    time_major: bool = False,
    one_hot_discrete: bool = False,
) -> Any:
    """A batch of values of `space`: all `fill_value`, or fill_value="random". batch_size 0: one value, unbatched."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return map_tree(
            lambda leaf: get_dummy_batch_for_space(
                leaf,
                batch_size,
                fill_value=fill_value,
                time_size=time_size,
                time_major=time_major,
                one_hot_discrete=one_hot_discrete,
            ),
            get_base_struct_from_space(space),
        )
    if one_hot_discrete and isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        width = int(space.n) if isinstance(space, spaces.Discrete) else int(np.sum(space.nvec))
        space = spaces.Box(0.0, 1.0, (width,))
    lead: tuple[int, ...] = (batch_size,) if batch_size else ()
    if time_size is not None:
        lead = (time_size, *lead) if time_major else (*lead, time_size)
    count = int(np.prod(lead, dtype=int))
    if fill_value == "random":
        if not lead:
            return space.sample()
        rows = np.stack([np.asarray(space.sample()) for _ in range(count)])
        values = rows.reshape(*lead, *rows.shape[1:])
    else:
        values = np.full((*lead, *(space.shape or ())), fill_value, dtype=space.dtype)
    return values


def convert_element_to_space_type(element: Any, sampled_element: Any) -> Any:
    """`element` with the types and precisions of a sample of its space."""

    def one(value: Any, like: Any) -> Any:
        if isinstance(like, np.ndarray):
            array = np.asarray(value)
            if array.size != like.size:
                return array
            return array.reshape(like.shape).astype(like.dtype)
        if isinstance(like, np.integer | int):
            return int(value)
        return value

    return map_tree(one, element, sampled_element)
