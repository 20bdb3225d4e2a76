"""Communicator: what a transport of tensors between actors implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Communicator(ABC):
    """The interface of Ray's communicators, so that programs which define one load. Compiled graphs do not use
    communicators here (NotImplementedError): tensors go through shared memory."""

    @abstractmethod
    def initialize(self, rank: int) -> None:
        """Called once in each actor, with its rank."""

    @abstractmethod
    def get_actor_handles(self) -> list[Any]:
        """The actors, in the order of their ranks."""

    @abstractmethod
    def get_rank(self, actor: Any) -> int:
        """The rank of an actor. ValueError: it does not take part."""

    @abstractmethod
    def get_self_rank(self) -> int | None:
        """The rank of this actor."""

    def get_world_size(self) -> int:
        """How many actors take part."""
        return len(self.get_actor_handles())

    @abstractmethod
    def send(self, value: Any, peer_rank: int) -> None:
        """Sends a tensor."""

    @abstractmethod
    def recv(
        self, shape: tuple[int, ...], dtype: Any, peer_rank: int, allocator: Any = None
    ) -> Any:
        """Receives a tensor."""

    @abstractmethod
    def allgather(self, send_buf: Any, recv_buf: Any) -> None:
        """Gives all the tensors of all."""

    @abstractmethod
    def allreduce(self, send_buf: Any, recv_buf: Any, op: Any) -> None:
        """Gives all the reduction of all tensors."""

    @abstractmethod
    def reducescatter(self, send_buf: Any, recv_buf: Any, op: Any) -> None:
        """Gives each its part of the reduction."""

    @property
    @abstractmethod
    def recv_stream(self) -> Any:
        """What receives run in."""

    @property
    @abstractmethod
    def send_stream(self) -> Any:
        """What sends run in."""

    @abstractmethod
    def destroy(self) -> None:
        """Ends it; waits that go on raise RayChannelError."""

    @abstractmethod
    def get_transport_name(self) -> str:
        """A name for messages."""

    @classmethod
    @abstractmethod
    def generate_communicator_id(cls) -> Any:
        """What the actors find each other by."""
