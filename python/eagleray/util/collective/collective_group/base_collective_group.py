"""What a backend implements. Tensors come in lists of one, as in Ray."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any


class BaseGroup(metaclass=ABCMeta):
    """One process's part in a group."""

    def __init__(self, world_size: int, rank: int, group_name: str) -> None:
        self._world_size = world_size
        self._rank = rank
        self._group_name = group_name

    @property
    def rank(self) -> int:
        return self._rank

    @property
    def world_size(self) -> int:
        return self._world_size

    @property
    def group_name(self) -> str:
        return self._group_name

    def destroy_group(self) -> None:  # noqa: B027  (a group may hold nothing)
        """Gives back what the group holds."""

    @classmethod
    def backend(cls) -> str:
        raise NotImplementedError

    @classmethod
    def check_backend_availability(cls) -> bool:
        raise NotImplementedError

    @abstractmethod
    def allreduce(self, tensor: list[Any], allreduce_options: Any) -> None: ...

    @abstractmethod
    def barrier(self, barrier_options: Any) -> None: ...

    @abstractmethod
    def reduce(self, tensor: list[Any], reduce_options: Any) -> None: ...

    @abstractmethod
    def allgather(
        self, tensor_list: list[list[Any]], tensor: list[Any], allgather_options: Any
    ) -> None: ...

    @abstractmethod
    def broadcast(self, tensor: list[Any], broadcast_options: Any) -> None: ...

    @abstractmethod
    def reducescatter(
        self, tensor: list[Any], tensor_list: list[list[Any]], reducescatter_options: Any
    ) -> None: ...

    @abstractmethod
    def send(self, tensor: list[Any], send_options: Any) -> None: ...

    @abstractmethod
    def recv(self, tensor: list[Any], recv_options: Any) -> None: ...
