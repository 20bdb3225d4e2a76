"""Peers: what a learner asks of the others, by torch.distributed (gloo on CPUs, NCCL on GPUs)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch
from torch import distributed

__all__ = ["Peers"]


class Peers:
    """Every call is made by all learners, in the same order."""

    def __init__(self, store: Any, rank: int, count: int, device: Any, patience_s: float) -> None:
        self._count, self._device = count, device
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=store,
            rank=rank,
            world_size=count,
            timeout=timedelta(seconds=patience_s),
        )

    def average(self, tensors: list[Any]) -> None:
        """Replaces each tensor by the mean of all learners'."""
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        flat.div_(self._count)
        pieces = flat.split([tensor.numel() for tensor in tensors])
        for tensor, piece in zip(tensors, pieces, strict=True):
            tensor.copy_(piece.view_as(tensor))

    def means(self, numbers: dict[str, float]) -> dict[str, float]:
        """The means of numbers that all learners have by the same names."""
        values = torch.tensor(list(numbers.values()), dtype=torch.float64, device=self._device)
        distributed.all_reduce(values)
        return dict(zip(numbers, (values / self._count).tolist(), strict=True))

    def least(self, number: int) -> int:
        """The smallest of all learners'."""
        value = torch.tensor([number], device=self._device)
        distributed.all_reduce(value, op=distributed.ReduceOp.MIN)
        return int(value)

    def leave(self) -> None:
        """Whoever waits for this learner has an error from now on."""
        distributed.destroy_process_group()
