"""Operations and devices of collective operations, with Ray's names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ReduceOp(Enum):
    """How tensors become one."""

    SUM = 0
    PRODUCT = 1
    MAX = 2
    MIN = 3
    AVG = 4


class _CollectiveOp:
    name = ""
    reduceOp: ReduceOp | None = None

    @property
    def reduce(self) -> str:
        return self.reduceOp.name.lower() if self.reduceOp is not None else ""


@dataclass(frozen=True)
class AllGatherOp(_CollectiveOp):
    """All have the tensors of all, one behind the other."""

    name = "allgather"


@dataclass(frozen=True)
class AllReduceOp(_CollectiveOp):
    """All have the reduction of all tensors."""

    reduceOp: ReduceOp = ReduceOp.SUM
    name = "allreduce"


@dataclass(frozen=True)
class ReduceScatterOp(_CollectiveOp):
    """Each has its part of the reduction."""

    reduceOp: ReduceOp = ReduceOp.SUM
    name = "reducescatter"


class Device(Enum):
    """Where a tensor is to be."""

    DEFAULT = "default"
    CPU = "cpu"
    GPU = "gpu"
    CUDA = "cuda"

    def __str__(self) -> str:
        return self.value
