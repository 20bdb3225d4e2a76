"""The functions of ray.util.collective. A group is made by its members (init_collective_group in each) or declared
by anybody (create_collective_group) and joined by each member at its first operation."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import eagleray as ray
from eagleray.experimental import internal_kv

from ... import _planned
from ..._state import state
from . import types
from .backend_registry import class_of, is_backend_available
from .collective_group.base_collective_group import BaseGroup
from .types import ReduceOp

SPACE = "eagleray-collective"
_groups: dict[str, BaseGroup] = {}
_lock = threading.Condition()
_joining: set[str] = set()  # groups that a thread of this process joins


def nccl_available() -> bool:
    """Whether groups on GPUs can be made: no."""
    return is_backend_available("NCCL")


def gloo_available() -> bool:
    """Whether groups on CPU can be made: with PyTorch."""
    return is_backend_available("GLOO")


# ---- groups ----


def _check_inside_worker() -> None:
    if not state.is_worker:
        raise RuntimeError("The collective APIs shall be only used inside a Ray actor or task.")


def _make(backend: str, world_size: int, rank: int, group_name: str, timeout_ms: int) -> BaseGroup:
    group_class: Any = class_of(backend)
    if types.Backend(backend) == types.Backend.GLOO:
        group: BaseGroup = group_class(world_size, rank, group_name, timeout_ms)
    else:
        group = group_class(world_size, rank, group_name)
    _groups[group_name] = group
    return group


@contextlib.contextmanager
def _joining_alone(group_name: str) -> Iterator[None]:
    """One thread at a time joins a group. Others may join other groups meanwhile: members do so in any order."""
    with _lock:
        _lock.wait_for(lambda: group_name not in _joining)
        _joining.add(group_name)
    try:
        yield
    finally:
        with _lock:
            _joining.discard(group_name)
            _lock.notify_all()


def is_group_initialized(group_name: str = "default") -> bool:
    """Whether this process is in the group."""
    with _lock:
        return group_name in _groups


def init_collective_group(
    world_size: int,
    rank: int,
    backend: str = types.Backend.NCCL,
    group_name: str = "default",
    gloo_timeout: int = 30000,
) -> None:
    """Joins the group as `rank` of `world_size`; returns when all have joined. Called in each member, an actor
    or a task. gloo_timeout: milliseconds for joining and for each operation.

    RuntimeError outside of a worker, for a second time, and for a backend that is not there (the default, NCCL,
    follows Ray); TimeoutError when the others do not come.
    """
    _check_inside_worker()
    if not group_name:
        raise ValueError(f"group_name '{group_name}' needs to be a string.")
    with _joining_alone(group_name):
        if group_name in _groups:
            raise RuntimeError("Trying to initialize a group a second time.")
        assert world_size > 0, "world_size must be greater than zero"
        assert 0 <= rank < world_size, f"rank {rank} is not in 0 to {world_size - 1}"
        _make(backend, world_size, rank, group_name, gloo_timeout)


def create_collective_group(
    actors: list[Any],
    world_size: int,
    ranks: list[int],
    backend: str = types.Backend.NCCL,
    group_name: str = "default",
    gloo_timeout: int = 30000,
) -> None:
    """Declares `actors` a group with these ranks; each joins when it first calls an operation. RuntimeError for
    what cannot be a group and for a name that is declared already."""
    key = f"declared-{group_name}"
    if internal_kv._internal_kv_exists(key, namespace=SPACE):
        raise RuntimeError("Trying to initialize a group twice.")
    if len(ranks) != len(actors):
        raise RuntimeError(
            f"Each actor should correspond to one rank. Got '{len(ranks)}' ranks but '{len(actors)}' actors"
        )
    if set(ranks) != set(range(len(ranks))):
        raise RuntimeError(
            f"Ranks must be a permutation from 0 to '{len(ranks) - 1}'. Got '{list(ranks)}'."
        )
    if world_size <= 0:
        raise RuntimeError(f"World size must be greater than zero. Got '{world_size}'.")
    if world_size != len(ranks):
        raise RuntimeError(f"A group of {world_size} needs as many actors, not {len(ranks)}.")
    class_of(backend)
    members = {actor._actor_id.hex(): rank for actor, rank in zip(actors, ranks, strict=True)}
    facts = {"members": members, "backend": backend, "timeout": gloo_timeout}
    internal_kv._internal_kv_put(key, json.dumps(facts), namespace=SPACE)


def destroy_collective_group(group_name: str = "default") -> None:
    """Leaves the group and takes back its declaration. Nothing happens when this process is in none."""
    _check_inside_worker()
    with _lock:
        group = _groups.pop(group_name, None)
    if group is not None:
        group.destroy_group()
        internal_kv._internal_kv_del(f"declared-{group_name}", namespace=SPACE)


def get_rank(group_name: str = "default") -> int:
    """This process's rank; -1 when it is not in the group."""
    _check_inside_worker()
    with _lock:
        return _groups[group_name].rank if group_name in _groups else -1


def get_collective_group_size(group_name: str = "default") -> int:
    """How many members the group has; -1 when this process is not in it."""
    _check_inside_worker()
    with _lock:
        return _groups[group_name].world_size if group_name in _groups else -1


def get_group_handle(group_name: str = "default") -> BaseGroup:
    """The group, which this process joins if it was declared. RuntimeError when it is no member."""
    _check_inside_worker()
    found = _groups.get(group_name)
    if found is not None:
        return found
    with _joining_alone(group_name):
        found = _groups.get(group_name)  # another thread may have joined meanwhile
        if found is not None:
            return found
        said = internal_kv._internal_kv_get(f"declared-{group_name}", namespace=SPACE)
        facts = json.loads(said) if said else {"members": {}}
        rank = facts["members"].get(ray.get_runtime_context().get_actor_id() or "")
        if rank is not None:
            return _make(
                facts["backend"], len(facts["members"]), rank, group_name, facts["timeout"]
            )
        if os.environ.get("collective_group_name") == group_name:
            return _make(
                os.environ["collective_backend"],
                int(os.environ["collective_world_size"]),
                int(os.environ["collective_rank"]),
                group_name,
                int(os.environ.get("collective_gloo_timeout", 30000)),
            )
    raise RuntimeError(f"The collective group '{group_name}' is not initialized in the process.")


# ---- operations; all wait ----


def allreduce(tensor: Any, group_name: str = "default", op: ReduceOp = ReduceOp.SUM) -> None:
    """`tensor` becomes, in each member, the sum (or `op`) of all members' tensors."""
    _check_tensor(tensor)
    get_group_handle(group_name).allreduce([tensor], types.AllReduceOptions(op))


def barrier(group_name: str = "default") -> None:
    """Waits until all members are here."""
    get_group_handle(group_name).barrier(types.BarrierOptions())


def reduce(
    tensor: Any, dst_rank: int = 0, group_name: str = "default", op: ReduceOp = ReduceOp.SUM
) -> None:
    """In member dst_rank `tensor` becomes the sum (or `op`) of all; in others it stays."""
    _check_tensor(tensor)
    group = _group_with(group_name, dst_rank)
    group.reduce([tensor], types.ReduceOptions(op, dst_rank))


def broadcast(tensor: Any, src_rank: int = 0, group_name: str = "default") -> None:
    """`tensor` becomes that of member src_rank."""
    _check_tensor(tensor)
    group = _group_with(group_name, src_rank)
    group.broadcast([tensor], types.BroadcastOptions(src_rank))


def allgather(tensor_list: list[Any], tensor: Any, group_name: str = "default") -> None:
    """tensor_list[i] becomes the `tensor` of member i. RuntimeError unless there is one for each."""
    _check_tensor(tensor)
    _check_tensors(tensor_list)
    group = get_group_handle(group_name)
    if len(tensor_list) != group.world_size:
        raise RuntimeError(
            "The length of the tensor list operands to allgather must be equal to world_size."
        )
    group.allgather([tensor_list], [tensor], types.AllGatherOptions())


def reducescatter(
    tensor: Any,
    tensor_list: list[Any],
    group_name: str = "default",
    op: ReduceOp = ReduceOp.SUM,
) -> None:
    """In member i `tensor` becomes the sum (or `op`) of all members' tensor_list[i]."""
    _check_tensor(tensor)
    _check_tensors(tensor_list)
    group = get_group_handle(group_name)
    if len(tensor_list) != group.world_size:
        raise RuntimeError(
            "The length of the tensor list operands to reducescatter must be equal to world_size."
        )
    group.reducescatter([tensor], [tensor_list], types.ReduceScatterOptions(op))


def send(tensor: Any, dst_rank: int, group_name: str = "default") -> None:
    """Gives `tensor` to member dst_rank, which calls recv()."""
    _check_tensor(tensor)
    group = _group_with(group_name, dst_rank)
    if dst_rank == group.rank:
        raise RuntimeError(f"The destination rank '{dst_rank}' is self.")
    group.send([tensor], types.SendOptions(dst_rank))


def recv(tensor: Any, src_rank: int, group_name: str = "default") -> None:
    """`tensor` becomes what member src_rank sends."""
    _check_tensor(tensor)
    group = _group_with(group_name, src_rank)
    if src_rank == group.rank:
        raise RuntimeError(f"The source rank '{src_rank}' is self.")
    group.recv([tensor], types.RecvOptions(src_rank))


def _group_with(group_name: str, rank: int) -> BaseGroup:
    group = get_group_handle(group_name)
    if rank < 0:
        raise ValueError(f"rank '{rank}' is negative.")
    if rank >= group.world_size:
        raise ValueError(f"rank '{rank}' must be less than world size '{group.world_size}'")
    return group


def _check_tensor(tensor: Any) -> None:
    import sys

    import numpy as np

    torch = sys.modules.get("torch")
    if isinstance(tensor, np.ndarray) or (torch and isinstance(tensor, torch.Tensor)):
        return
    raise RuntimeError(
        f"Unrecognized tensor type '{type(tensor)}'. Supported types are: np.ndarray, torch.Tensor, "
        "cupy.ndarray."
    )


def _check_tensors(tensors: Any) -> None:
    if not isinstance(tensors, list):
        raise RuntimeError(f"The input must be a list of tensors. Got '{type(tensors)}'.")
    if not tensors:
        raise RuntimeError("Got an empty list of tensors.")
    for each in tensors:
        _check_tensor(each)


# ---- several GPUs a process ----


def _needs_gpus(name: str) -> NoReturn:
    raise RuntimeError(
        f"{name}: Multigpu calls requires NCCL and Cupy, which eagleray does not have."
    )


def allreduce_multigpu(
    tensor_list: list[Any], group_name: str = "default", op: ReduceOp = ReduceOp.SUM
) -> None:
    """RuntimeError, as in Ray without GPUs."""
    _needs_gpus("allreduce_multigpu")


def reduce_multigpu(
    tensor_list: list[Any],
    dst_rank: int = 0,
    dst_tensor: int = 0,
    group_name: str = "default",
    op: ReduceOp = ReduceOp.SUM,
) -> None:
    """RuntimeError, as in Ray without GPUs."""
    _needs_gpus("reduce_multigpu")


def broadcast_multigpu(
    tensor_list: list[Any], src_rank: int = 0, src_tensor: int = 0, group_name: str = "default"
) -> None:
    """RuntimeError, as in Ray without GPUs."""
    _needs_gpus("broadcast_multigpu")


def allgather_multigpu(
    output_tensor_lists: list[Any], input_tensor_list: list[Any], group_name: str = "default"
) -> None:
    """RuntimeError, as in Ray without GPUs."""
    _needs_gpus("allgather_multigpu")


def reducescatter_multigpu(
    output_tensor_list: list[Any],
    input_tensor_lists: list[Any],
    group_name: str = "default",
    op: ReduceOp = ReduceOp.SUM,
) -> None:
    """RuntimeError, as in Ray without GPUs."""
    _needs_gpus("reducescatter_multigpu")


def send_multigpu(
    tensor: Any, dst_rank: int, dst_gpu_index: int, group_name: str = "default", n_elements: int = 0
) -> None:
    """RuntimeError, as in Ray without GPUs."""
    _needs_gpus("send_multigpu")


def recv_multigpu(
    tensor: Any, src_rank: int, src_gpu_index: int, group_name: str = "default", n_elements: int = 0
) -> None:
    """RuntimeError, as in Ray without GPUs."""
    _needs_gpus("recv_multigpu")


__getattr__ = _planned.lazily(__name__)
