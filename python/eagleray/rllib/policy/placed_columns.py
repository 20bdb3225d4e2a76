"""PlacedColumns: a batch in tensors that stay where they are, as recorded steps (torch_updates.py) read it."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["PlacedColumns"]


class PlacedColumns:
    """Takes batch after batch over. What fits is copied into the tensors that are there; else they are made anew.

    Sequences have a third more room than the first batch needs, for their number differs from batch to batch, and
    behind them a unit of zeros, `filler`: its mask is false, and minibatches of too few sequences are filled with it.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self._tensors: dict[str, Any] = {}
        self._flattened: frozenset[str] = frozenset()  # columns with a row for each step of a unit
        self._room = 0
        self._length = 0

    @property
    def filler(self) -> int:
        """The index of the unit of zeros; there is none where units are rows."""
        return self._room

    @property
    def names(self) -> list[str]:
        return sorted(self._tensors)

    def put(self, columns: Any, length: int) -> bool:
        """Copies the columns, sequences with zeros up to `length` rows; whether the places are new."""
        flattened = frozenset(name for name in columns.tensors if not columns.by_unit(name))
        shaped = {
            name: tensor.reshape(-1, columns.per_unit, *tensor.shape[1:])
            if name in flattened
            else tensor
            for name, tensor in columns.tensors.items()
        }
        new = not self._fits(columns, shaped, flattened, length)
        if new:
            self._make(columns, shaped, flattened, length)
        for name, tensor in shaped.items():
            place = self._tensors[name][: columns.units]
            if name in flattened:
                place[:, columns.per_unit :].zero_()
                place = place[:, : columns.per_unit]
            place.copy_(tensor)
        return new

    def _fits(self, columns: Any, shaped: Any, flattened: frozenset[str], length: int) -> bool:
        skipped = {name: 2 if name in flattened else 1 for name in shaped}
        return (
            shaped.keys() == self._tensors.keys()
            and (flattened, length) == (self._flattened, self._length)
            and columns.units <= self._room
            and all(
                tensor.dtype == self._tensors[name].dtype
                and tensor.shape[skipped[name] :] == self._tensors[name].shape[skipped[name] :]
                for name, tensor in shaped.items()
            )
        )

    def _make(self, columns: Any, shaped: Any, flattened: frozenset[str], length: int) -> None:
        self._flattened, self._length = flattened, length
        self._room = columns.units + (columns.units // 3 if columns.sequences else 0)
        places = self._room + (1 if columns.sequences else 0)
        self._tensors = {}
        for name, tensor in shaped.items():
            inner = (length, *tensor.shape[2:]) if name in flattened else tensor.shape[1:]
            self._tensors[name] = torch.zeros(
                (places, *inner), dtype=tensor.dtype, device=self._device
            )

    def take(self, chosen: Any) -> dict[str, Any]:
        """The units with these indices, as a training batch."""
        taken = {}
        for name, tensor in self._tensors.items():
            picked = tensor.index_select(0, chosen)
            taken[name] = picked.flatten(0, 1) if name in self._flattened else picked
        return taken

    def drop(self) -> None:
        """Lets the memory go."""
        self._tensors = {}
