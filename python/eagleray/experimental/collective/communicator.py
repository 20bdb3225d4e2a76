"""Groups of actors as those who made them see them, and as their members do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...util.collective.types import Backend

__all__ = ["Communicator", "CommunicatorHandle"]


@dataclass
class Communicator:
    """A group that this process is in, by name, its rank there, and the backend."""

    name: str
    rank: int
    backend: str


class CommunicatorHandle:
    """A group of actors; an actor's rank is its place in `actors`."""

    def __init__(self, actors: list[Any], name: str, backend: str) -> None:
        self._actors = list(actors)
        self._name = name
        self._backend = Backend(backend)

    def get_rank(self, actor: Any) -> int:
        """Of an actor; -1: it is not in the group."""
        return self._actors.index(actor) if actor in self._actors else -1

    @property
    def actors(self) -> list[Any]:
        return list(self._actors)

    @property
    def name(self) -> str:
        return self._name

    @property
    def backend(self) -> Any:
        return self._backend
