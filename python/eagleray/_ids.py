"""Ids as Ray shows them: immutable byte strings that nest. A task's id ends with its actor's, which ends with its
job's."""

from __future__ import annotations

import builtins
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


class BaseID:
    """`Class(bytes)`, `Class.from_hex(text)`, `Class.nil()`. TypeError and ValueError for what is no such id."""

    SIZE = 28

    __slots__ = ("_bytes",)

    def __init__(self, value: bytes) -> None:
        if not isinstance(value, bytes):
            raise TypeError(f"Unsupported type: {type(value)}, expected bytes")
        if len(value) != self.SIZE:
            raise ValueError(f"ID string needs to have length {self.SIZE}, got {len(value)}")
        self._bytes = value

    @classmethod
    def nil(cls) -> Self:
        """The id of nothing."""
        return cls(b"\xff" * cls.SIZE)

    @classmethod
    def from_binary(cls, value: bytes) -> Self:
        return cls(value)

    @classmethod
    def from_hex(cls, text: str) -> Self:
        return cls(bytes.fromhex(text))

    @classmethod
    def size(cls) -> builtins.int:
        return cls.SIZE

    def binary(self) -> bytes:
        return self._bytes

    def hex(self) -> str:
        return self._bytes.hex()

    def is_nil(self) -> bool:
        return self._bytes == b"\xff" * self.SIZE

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._bytes == self._bytes

    def __hash__(self) -> builtins.int:
        return hash(self._bytes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"

    def __reduce__(self) -> Any:
        return (type(self), (self._bytes,))


class _RandomID(BaseID):
    @classmethod
    def from_random(cls) -> Self:
        """An id that nothing has."""
        return cls(os.urandom(cls.SIZE))


class JobID(BaseID):
    SIZE = 4

    @classmethod
    def from_int(cls, number: builtins.int) -> JobID:
        return cls(number.to_bytes(4, "little"))

    def int(self) -> builtins.int:
        return builtins.int.from_bytes(self._bytes, "little")


class ActorID(_RandomID):
    SIZE = 16

    @classmethod
    def of(
        cls, job_id: JobID, parent_task_id: TaskID, parent_task_counter: builtins.int
    ) -> ActorID:
        """A new one, in a job. The other arguments make it no less new, as in Ray."""
        return cls(os.urandom(12) + job_id.binary())

    @property
    def job_id(self) -> JobID:
        return JobID(self._bytes[-JobID.SIZE :])


class TaskID(BaseID):
    SIZE = 24

    @classmethod
    def for_fake_task(cls, job_id: JobID) -> TaskID:
        """Of no task, in a job: for tests."""
        return cls(os.urandom(20) + job_id.binary())

    def actor_id(self) -> ActorID:
        return ActorID(self._bytes[-ActorID.SIZE :])

    def job_id(self) -> JobID:
        return JobID(self._bytes[-JobID.SIZE :])


class PlacementGroupID(_RandomID):
    SIZE = 18

    @classmethod
    def of(cls, job_id: JobID) -> PlacementGroupID:
        """A new one, in a job."""
        return cls(os.urandom(14) + job_id.binary())


class UniqueID(_RandomID):
    pass


class NodeID(UniqueID):
    pass


class WorkerID(UniqueID):
    pass


class FunctionID(UniqueID):
    pass


class ActorClassID(UniqueID):
    pass
