"""Collective operations of compiled graphs on the CPU: every actor writes its tensor to a channel that the others
read, and reduces them in the order of ranks, so all have the same bits. A tensor is copied once into shared
memory and read where it lies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import exceptions
from . import _loop
from ._loop import Address, Failure


class Part(NamedTuple):
    """What one actor does in an operation."""

    name: str
    kind: str  # allgather, allreduce or reducescatter
    reduce: str  # sum, product, max, min, avg
    rank: int
    own: Address
    others: list[tuple[int, Address, int]]  # rank, its channel, which reader of it this is


def plans(op: Any, slots: int, slot_bytes: int) -> tuple[list[Any], dict[Any, Part]]:
    """The channels of an operation, and each actor's part in it."""
    if op.transport not in (None, "accelerator", "nccl", "shm", "auto"):
        raise NotImplementedError(
            "communicators of one's own for collective operations of compiled graphs"
        )
    world = len(op.actor_handles)
    made = [_loop.new_channel(slots, max(1, world - 1), slot_bytes) for _ in range(world)]
    parts = {}
    for rank, actor in enumerate(op.actor_handles):
        others = [
            (peer, made[peer][1], rank if rank < peer else rank - 1)
            for peer in range(world)
            if peer != rank
        ]
        name = op.op.name + (f".{op.op.reduce}" if op.op.reduce else "")
        parts[actor] = Part(name, op.op.name, op.op.reduce, rank, made[rank][1], others)
    return [channel for channel, _ in made], parts


class Collective:
    """One actor's part, as a function of its tensors."""

    def __init__(self, part: Part, open_channel: Callable[[Address], Any]) -> None:
        self._part = part
        self._own = open_channel(part.own)
        self._own.become_writer()
        self._others = []
        for rank, address, reader in part.others:
            channel = open_channel(address)
            channel.become_reader(reader)
            self._others.append((rank, channel))

    def __call__(self, *tensors: Any) -> Any:
        """The result; a tuple of them for several tensors."""
        import numpy as np
        import torch

        try:
            own = [_array(tensor, torch) for tensor in tensors]
            self._check(own)
        except Exception as error:
            return self.skip(_loop.failure(self._part.name, error))
        gathered = self._exchange(own[0] if len(own) == 1 else own)
        failed = [each for each in gathered if type(each) is Failure]
        if failed:
            return failed[0]
        lists = [[each] if isinstance(each, np.ndarray) else each for each in gathered]
        kinds = [(tensor.dtype, tensor.shape) for tensor in tensors]
        results = []
        for i, (dtype, shape) in enumerate(kinds):
            results.append(self._result([each[i] for each in lists], dtype, shape, np, torch))
        return results[0] if len(results) == 1 else tuple(results)

    def skip(self, failed: Failure) -> Failure:
        """This actor has no tensor: the others are told why."""
        self._exchange(failed)
        return failed

    def _exchange(self, own: Any) -> list[Any]:
        """What every rank has, in the order of ranks."""
        if self._others:
            own = self._written(own)
        gathered = [own] * (len(self._others) + 1)
        for rank, channel in self._others:
            gathered[rank] = _loop.read(channel, None, self._part.name)
        return gathered

    def _written(self, own: Any) -> Any:
        """What the others get: why, if there is no memory for `own`. They wait for one or the other."""
        try:
            self._own.write(own, None)
        except exceptions.RayChannelError:
            raise
        except Exception as error:
            own = _loop.failure(self._part.name, error)
            self._own.write(own, None)
        return own

    def _check(self, own: list[Any]) -> None:
        world = len(self._others) + 1
        if self._part.kind == "reducescatter" and (own[0].ndim == 0 or own[0].shape[0] % world):
            raise ValueError(
                "Expected the first dimension of the input tensor to be divisible by the world size "
                f"{world}, and it has the shape {tuple(own[0].shape)}"
            )

    def _result(self, arrays: list[Any], dtype: Any, shape: Any, np: Any, torch: Any) -> Any:
        if len({each.shape for each in arrays}) > 1 and self._part.kind != "allgather":
            raise ValueError(
                f"the tensors of {self._part.name} have different shapes: {[each.shape for each in arrays]}"
            )
        if self._part.kind == "allgather":
            return torch.from_numpy(np.concatenate(arrays)).to(dtype)
        if self._part.kind == "reducescatter":
            rows = shape[0] // len(arrays)
            mine = slice(self._part.rank * rows, (self._part.rank + 1) * rows)
            arrays = [each[mine] for each in arrays]
        functions = {
            "sum": np.add,
            "avg": np.add,
            "product": np.multiply,
            "max": np.maximum,
            "min": np.minimum,
        }
        total = arrays[0].copy()
        for each in arrays[1:]:
            functions[self._part.reduce](total, each, out=total)
        if self._part.reduce == "avg":
            total = total / len(arrays)
        return torch.from_numpy(np.asarray(total)).to(dtype)


def _array(tensor: Any, torch: Any) -> Any:
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(
            f"Expected a torch tensor for each input node, and got {type(tensor).__name__}"
        )
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype in (
        torch.bfloat16,
        torch.float16,
    ):  # numpy has the one not, and the other slowly
        tensor = tensor.to(torch.float32)
    return tensor.numpy()
