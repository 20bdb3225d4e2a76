"""Channels: values from one writer to several readers through shared memory, as compiled graphs use them."""

from __future__ import annotations

from typing import Any

from ...dag._loop import CompiledDAGArgs
from ._channels import (
    BufferedSharedMemoryChannel,
    CachedChannel,
    Channel,
    CompositeChannel,
    IntraProcessChannel,
)
from ._channels import (
    ChannelInterface as ChannelInterface,
)
from ._channels import (
    SharedMemoryType as SharedMemoryType,
)
from .communicator import Communicator

__all__ = [
    "BufferedSharedMemoryChannel",
    "CachedChannel",
    "Channel",
    "Communicator",
    "CompiledDAGArgs",
    "CompositeChannel",
    "IntraProcessChannel",
]


def __getattr__(name: str) -> Any:
    from ... import _planned

    return _planned.find("experimental.channel", name)
