"""Names of backends and of ways to reduce, and the options that a backend's methods take."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from enum import Enum
from typing import Any


def torch_available() -> bool:
    return importlib.util.find_spec("torch") is not None


def cupy_available() -> bool:
    return importlib.util.find_spec("cupy") is not None


class Backend:
    """Backend("gloo") is Backend.GLOO, a string. ValueError for a name that no backend has."""

    NCCL = "NCCL"
    GLOO = "GLOO"
    UNRECOGNIZED = "unrecognized"

    def __new__(cls, name: str) -> Any:
        upper = name.upper()
        if upper == "TORCH_GLOO":
            return cls.GLOO
        found = getattr(cls, upper, cls.UNRECOGNIZED)
        if found == cls.UNRECOGNIZED:
            raise ValueError(
                f"Unrecognized backend: '{name}'. Only NCCL and GLOO are supported, and what "
                "register_collective_backend() has added"
            )
        return found


class ReduceOp(Enum):
    SUM = 0
    PRODUCT = 1
    MIN = 2
    MAX = 3


@dataclass
class AllReduceOptions:
    reduceOp: ReduceOp = ReduceOp.SUM


@dataclass
class BarrierOptions:
    pass


@dataclass
class ReduceOptions:
    reduceOp: ReduceOp = ReduceOp.SUM
    root_rank: int = 0
    root_tensor: int = 0


@dataclass
class AllGatherOptions:
    pass


@dataclass
class BroadcastOptions:
    root_rank: int = 0
    root_tensor: int = 0


@dataclass
class ReduceScatterOptions:
    reduceOp: ReduceOp = ReduceOp.SUM


@dataclass
class SendOptions:
    dst_rank: int = 0
    dst_gpu_index: int = 0
    n_elements: int = 0


@dataclass
class RecvOptions:
    src_rank: int = 0
    src_gpu_index: int = 0
    n_elements: int = 0
