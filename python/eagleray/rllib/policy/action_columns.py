"""Actions as one array: how batches hold those of any space.

A space without parts keeps its own shape; Tuple and Dict spaces become float32 rows, the leaves one after the
other in the order of models.catalog.flat_spaces().
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from ..models.catalog import flat_spaces
from ..models.preprocessors import parts_of
from .integer_boxes import IntegerBox

__all__ = ["ActionColumns"]


class ActionColumns:
    """Converts between arrays of rows, leaves (arrays [n, ...]) and actions as the environment takes them."""

    def __init__(self, space: Any) -> None:
        self.space = space
        self.leaves = flat_spaces(space)
        self.nested = hasattr(space, "spaces")
        self._discrete = isinstance(space, spaces.Discrete)
        self._sizes = [int(np.prod(leaf.shape or (1,), dtype=int)) for leaf in self.leaves]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one action in a batch."""
        if self.nested or isinstance(self.space, spaces.MultiDiscrete):
            return (sum(self._sizes),)
        return tuple(self.space.shape or ())

    @property
    def dtype(self) -> Any:
        if self.nested:
            return np.float32
        return np.float32 if isinstance(self.space, spaces.Box) else np.int64

    def join(self, leaves: Any) -> Any:
        """Leaves [n, ...] to rows."""
        if not self.nested:
            return np.asarray(leaves[0])
        return np.concatenate(
            [np.asarray(leaf, np.float32).reshape(len(leaf), -1) for leaf in leaves], axis=1
        )

    def split(self, rows: Any) -> list[Any]:
        """Rows (arrays or tensors) to leaves in their own shapes."""
        if not self.nested:
            return [rows]
        out, at = [], 0
        for leaf, size in zip(self.leaves, self._sizes, strict=True):
            out.append(rows[:, at : at + size].reshape((len(rows), *(leaf.shape or ()))))
            at += size
        return out

    def to_batch(self, rows: Any) -> Any:
        """Rows to what the space's own structure holds, each leaf an array [n, ...]; Discrete ones from their start."""
        leaves = iter(self.split(rows))
        return _structured(self.space, leaves)

    def one(self, batch: Any, index: int) -> Any:
        """The action of one row of to_batch(), in the types of the space."""
        return int(batch[index]) if self._discrete else _row(self.space, batch, index)

    def flatten(self, action: Any) -> Any:
        """One action of the environment's as a row."""
        if not self.nested:
            return np.asarray(action)
        return np.concatenate([np.ravel(part) for part in _leaves(self.space, action)]).astype(
            np.float32
        )

    def chosen(self, rows: Any) -> Any:
        """Rows of the environment's own actions as what was chosen: integers of a Box count from its lower bound."""
        if not any(isinstance(leaf, IntegerBox) for leaf in self.leaves):
            return rows
        return self.join(
            [
                values - leaf.start if isinstance(leaf, IntegerBox) else values
                for leaf, values in zip(self.leaves, self.split(rows), strict=True)
            ]
        )

    def one_hot(self, rows: Any) -> Any:
        """Rows as inputs of a net: discrete leaves one-hot, float32 [n, width]."""
        parts = []
        for leaf, values in zip(self.leaves, self.split(rows), strict=True):
            if isinstance(leaf, spaces.Discrete):
                parts.append(np.eye(int(leaf.n), dtype=np.float32)[np.asarray(values, int)])
            elif isinstance(leaf, spaces.MultiDiscrete):
                columns = np.asarray(values, int).reshape(len(rows), -1).T
                parts.extend(
                    np.eye(int(n), dtype=np.float32)[column]
                    for n, column in zip(np.ravel(leaf.nvec), columns, strict=True)
                )
            else:
                parts.append(np.asarray(values, np.float32).reshape(len(rows), -1))
        return np.concatenate(parts, axis=1)


def _structured(space: Any, leaves: Any) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _structured(part, leaves) for key, part in parts_of(space)}
    if isinstance(space, spaces.Tuple):
        return tuple(_structured(part, leaves) for part in space.spaces)
    leaf = next(leaves)
    if isinstance(space, spaces.MultiDiscrete) and (space.start.any() or space.start.ndim > 1):
        return np.asarray(leaf).reshape(len(leaf), *space.shape) + space.start
    return leaf + int(space.start) if isinstance(space, spaces.Discrete) and space.start else leaf


def _row(space: Any, batch: Any, index: int) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _row(part, batch[key], index) for key, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_row(part, batch[i], index) for i, part in enumerate(space.spaces))
    value = batch[index]
    if isinstance(space, spaces.Discrete):
        return int(value)
    if isinstance(space, spaces.MultiDiscrete):
        return np.asarray(value).astype(getattr(space, "action_dtype", space.dtype))
    if isinstance(space, spaces.MultiBinary):
        return np.asarray(value).reshape(space.shape).astype(space.dtype)
    return value


def _leaves(space: Any, action: Any) -> list[Any]:
    if hasattr(space, "spaces"):
        return [leaf for key, part in parts_of(space) for leaf in _leaves(part, action[key])]
    return [action]
