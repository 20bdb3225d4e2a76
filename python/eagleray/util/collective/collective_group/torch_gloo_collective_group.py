"""gloo, by torch.distributed's process groups, without its global state: a process may be in many groups, and may
use torch.distributed for itself. Everything listens on loopback only."""

from __future__ import annotations

import json
import os
import socket
import time
from datetime import timedelta
from typing import Any

from eagleray.experimental import internal_kv

from .... import _planned
from ..types import Backend, ReduceOp
from .base_collective_group import BaseGroup

HOST = "127.0.0.1"
SPACE = "eagleray-collective"
RETRY_S = 0.01


def _meet(group_name: str, rank: int, world_size: int, timeout_s: float) -> Any:
    """The store by which the members find each other: rank 0 holds it, and says where in the cluster's keys. Old
    entries of the same name are recognised by their mark."""
    import torch.distributed as dist

    key = f"meeting-{group_name}"
    patience = timedelta(seconds=timeout_s)
    if rank == 0:
        listener = socket.create_server((HOST, 0))  # TCPStore's own would be open to the network
        port = listener.getsockname()[1]
        store = dist.TCPStore(
            HOST,
            port,
            world_size,
            True,
            patience,
            wait_for_workers=False,
            master_listen_fd=listener.detach(),
        )
        mark = os.urandom(16).hex()
        store.set("mark", mark)
        said = json.dumps({"port": store.port, "mark": mark})
        internal_kv._internal_kv_put(key, said, namespace=SPACE)
        return store
    deadline = time.monotonic() + timeout_s
    while True:
        said_bytes = internal_kv._internal_kv_get(key, namespace=SPACE)
        if said_bytes is not None:
            facts = json.loads(said_bytes)
            store = _join(facts, rank, world_size)
            if store is not None:
                store.set_timeout(patience)
                return store
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"rank {rank} of the collective group '{group_name}' has waited {timeout_s:g} s for rank 0"
            )
        time.sleep(RETRY_S)


def _join(facts: dict[str, Any], rank: int, world_size: int) -> Any:
    """None where an earlier group of the name has left its entry."""
    import torch.distributed as dist

    try:
        store = dist.TCPStore(
            HOST, facts["port"], world_size, False, timedelta(seconds=1), wait_for_workers=False
        )
        if store.get("mark").decode() != facts["mark"] or store.add(f"rank-{rank}", 1) != 1:
            return None
    except (RuntimeError, ValueError):  # nobody, or nobody of ours, listens there
        return None
    return store


class TorchGLOOGroup(BaseGroup):
    """Tensors of PyTorch on CPU and arrays of numpy, changed in place."""

    def __init__(
        self, world_size: int, rank: int, group_name: str, gloo_timeout: int | None = None
    ) -> None:
        import torch.distributed as dist

        super().__init__(world_size, rank, group_name)
        timeout_s = (30000 if gloo_timeout is None else gloo_timeout) / 1000
        self._store = _meet(group_name, rank, world_size, timeout_s)
        gloo: Any = dist.ProcessGroupGloo
        options = gloo._Options()
        options._devices = [gloo.create_device(hostname=HOST)]
        options._timeout = timedelta(seconds=timeout_s)
        self._group = gloo(dist.PrefixStore("gloo", self._store), rank, world_size, options)

    @classmethod
    def backend(cls) -> str:
        return Backend.GLOO

    @classmethod
    def check_backend_availability(cls) -> bool:
        try:
            import torch.distributed as dist
        except ImportError:
            return False
        return dist.is_available() and hasattr(dist, "ProcessGroupGloo")

    def destroy_group(self) -> None:
        """Closes its connections."""
        if self.rank == 0:
            key = f"meeting-{self.group_name}"
            internal_kv._internal_kv_del(key, namespace=SPACE)
        self._group = self._store = None

    def allreduce(self, tensor: list[Any], allreduce_options: Any) -> None:
        import torch.distributed as dist

        options = dist.AllreduceOptions()
        options.reduceOp = _op(allreduce_options.reduceOp)
        self._group.allreduce([_torch(tensor[0])], options).wait()

    def barrier(self, barrier_options: Any = None) -> None:
        self._group.barrier().wait()

    def reduce(self, tensor: list[Any], reduce_options: Any) -> None:
        import torch.distributed as dist

        options = dist.ReduceOptions()
        options.reduceOp = _op(reduce_options.reduceOp)
        options.rootRank = reduce_options.root_rank
        given = _torch(tensor[0])
        if self.rank != reduce_options.root_rank:
            given = given.detach().clone()  # gloo uses it for sums on the way
        self._group.reduce([given], options).wait()

    def broadcast(self, tensor: list[Any], broadcast_options: Any) -> None:
        import torch.distributed as dist

        options = dist.BroadcastOptions()
        options.rootRank = broadcast_options.root_rank
        self._group.broadcast([_torch(tensor[0])], options).wait()

    def allgather(
        self, tensor_list: list[list[Any]], tensor: list[Any], allgather_options: Any
    ) -> None:
        outputs = [_torch(each) for each in tensor_list[0]]
        self._group.allgather([outputs], [_torch(tensor[0])]).wait()

    def reducescatter(
        self, tensor: list[Any], tensor_list: list[list[Any]], reducescatter_options: Any
    ) -> None:
        import torch.distributed as dist

        output, inputs = _torch(tensor[0]), [_torch(each) for each in tensor_list[0]]
        if output.shape != inputs[self.rank].shape:
            raise ValueError(
                f"Output tensor has wrong shape {tuple(output.shape)}, expected "
                f"{tuple(inputs[self.rank].shape)}"
            )
        options = dist.ReduceScatterOptions()
        options.reduceOp = _op(reducescatter_options.reduceOp)
        self._group.reduce_scatter([output], [inputs], options).wait()

    def send(self, tensor: list[Any], send_options: Any) -> None:
        self._group.send([_torch(tensor[0])], send_options.dst_rank, 0).wait()

    def recv(self, tensor: list[Any], recv_options: Any) -> None:
        self._group.recv([_torch(tensor[0])], recv_options.src_rank, 0).wait()


def _torch(tensor: Any) -> Any:
    """The tensor, or one that shares the array's memory. ValueError where nothing can be written."""
    import numpy as np
    import torch

    if isinstance(tensor, torch.Tensor):
        if tensor.device.type != "cpu":
            raise ValueError(f"gloo takes tensors on CPU, not on {tensor.device}")
        return tensor
    if isinstance(tensor, np.ndarray):
        if not tensor.flags.writeable:
            raise ValueError(
                "the array is read-only, as those from the object store are: use a copy of it"
            )
        return torch.from_numpy(tensor)
    raise ValueError(f"gloo takes torch.Tensor and numpy.ndarray, not {type(tensor)}")


def _op(op: ReduceOp) -> Any:
    import torch.distributed as dist

    return getattr(dist.ReduceOp, ReduceOp(op).name)


__getattr__ = _planned.lazily(__name__)
