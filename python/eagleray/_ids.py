"""Ids as Ray shows them: immutable byte strings with `hex()`, `binary()`, `nil()` and `from_random()`."""

from __future__ import annotations

import os
from typing import Any


class BaseID:
    SIZE = 28

    __slots__ = ("_bytes",)

    def __init__(self, value: bytes) -> None:
        if len(value) != self.SIZE:
            raise ValueError(f"{type(self).__name__} has {self.SIZE} bytes, not {len(value)}")
        self._bytes = bytes(value)

    @classmethod
    def from_random(cls) -> Any:
        return cls(os.urandom(cls.SIZE))

    @classmethod
    def nil(cls) -> Any:
        return cls(b"\xff" * cls.SIZE)

    @classmethod
    def from_hex(cls, text: str) -> Any:
        return cls(bytes.fromhex(text))

    @classmethod
    def size(cls) -> int:
        return cls.SIZE

    def binary(self) -> bytes:
        return self._bytes

    def hex(self) -> str:
        return self._bytes.hex()

    def is_nil(self) -> bool:
        return self._bytes == b"\xff" * self.SIZE

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._bytes == self._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"

    def __reduce__(self) -> Any:
        return (type(self), (self._bytes,))


class UniqueID(BaseID):
    pass


class JobID(BaseID):
    SIZE = 4

    @classmethod
    def from_int(cls, number: int) -> JobID:
        return cls(number.to_bytes(4, "little"))

    def int(self) -> Any:
        return int.from_bytes(self._bytes, "little")


class ActorID(BaseID):
    SIZE = 16


class TaskID(BaseID):
    SIZE = 24


class PlacementGroupID(BaseID):
    SIZE = 18


class NodeID(BaseID):
    pass


class WorkerID(BaseID):
    pass


class FunctionID(BaseID):
    pass


class ActorClassID(BaseID):
    pass
