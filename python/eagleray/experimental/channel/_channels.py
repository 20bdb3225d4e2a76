"""The public channels, thin over the core's: who is which end is found by the actor that asks."""

from __future__ import annotations

import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ... import exceptions
from ..._processes import name_of, still_runs
from ..._state import client, state

MIN_BUFFER_BYTES = 1000
LOOK_S = 1.0  # who waits looks so often whether the other end still runs


class SharedMemoryType:
    """How values travel through a channel. buffer_size_bytes: of a buffer at first; it grows with what is written.
    num_shm_buffers: values in flight."""

    def __init__(
        self, *, buffer_size_bytes: int | None = None, num_shm_buffers: int | None = None
    ) -> None:
        from ...dag.context import DAGContext

        self.buffer_size_bytes = buffer_size_bytes or DAGContext.get_current().buffer_size_bytes
        self.num_shm_buffers = num_shm_buffers or 1


class ChannelInterface:
    """What all channels have. timeout: seconds; None or -1: no limit. RayChannelTimeoutError when it passes,
    RayChannelError after close(), and when who is waited for has ended."""

    def ensure_registered_as_writer(self) -> None:
        """Makes this process the writer, if it is not."""

    def ensure_registered_as_reader(self) -> None:
        """Makes this process a reader, if it is not. ValueError: it is none of the channel's."""

    def write(self, value: Any, timeout: float | None = None) -> None:
        """Waits until the readers have made room, and writes."""
        raise NotImplementedError(f"{type(self).__name__}.write")

    def read(self, timeout: float | None = None) -> Any:
        """Waits for the next value. Arrays are read-only and lie in the channel's memory for as long as possible."""
        raise NotImplementedError(f"{type(self).__name__}.read")

    def release_buffer(self, timeout: float | None = None) -> None:
        """Waits for the next value and throws it away."""
        self.read(timeout)

    def close(self) -> None:
        """Ends the channel for all: who waits gets RayChannelError."""
        raise NotImplementedError(f"{type(self).__name__}.close")


def _limit(timeout: float | None) -> float | None:
    return None if timeout is None or timeout < 0 else timeout


def _own_id() -> str | None:
    """Of the actor that this process runs; None: a driver or a task."""
    spec = state.actor_spec
    return None if spec is None else spec["actor_id"].hex()


def _id_of(actor: Any) -> str | None:
    return None if actor is None else str(actor._actor_id.hex())


class Channel(ChannelInterface):
    """From one writer to the readers, of whom each gets each value; with one buffer the writer waits until all have
    read the value before.

    writer: an actor's handle, None: the driver. reader_and_node_list: pairs of an actor's handle (None: the driver)
    and its node's id. typ: bytes of the buffer at first, or a SharedMemoryType; at least 1,000 (ValueError). It may
    be passed to the actors. Its memory is a part of the object store (ObjectStoreFullError where that has no room)
    until the process that made it drops it, and goes when the last process that uses it has ended.
    """

    def __init__(
        self,
        writer: Any,
        reader_and_node_list: list[tuple[Any, Any]],
        typ: int | SharedMemoryType | None = None,
        _opened: tuple[Any, tuple[int, int, int], int] | None = None,
    ) -> None:
        from ...dag import _loop

        if not reader_and_node_list:
            raise ValueError("A channel needs at least one reader.")
        client()
        if not isinstance(typ, SharedMemoryType):
            typ = SharedMemoryType(buffer_size_bytes=typ)
        if typ.buffer_size_bytes < MIN_BUFFER_BYTES:
            raise ValueError(
                f"typ.buffer_size_bytes must be at least MIN_BUFFER_SIZE ({MIN_BUFFER_BYTES} bytes)"
            )
        self._writer = writer
        self._reader_and_node_list = list(reader_and_node_list)
        self._typ = typ
        self._writes = self._reads = False
        if _opened is None:
            made = _loop.new_channel(
                typ.num_shm_buffers, len(reader_and_node_list), typ.buffer_size_bytes
            )
            _opened = (*made, 0)
        self._core: Any = _opened[0]
        self._address = _opened[1]
        self._driver = _opened[2] if state.is_worker else name_of(os.getpid())  # 0: not known

    def ensure_registered_as_writer(self) -> None:
        if self._writes:
            return
        if _id_of(self._writer) != _own_id():
            raise ValueError(
                f"{self}: the writer is {self._writer or 'the driver'}, not this process."
            )
        self._core.become_writer()
        self._core.name_end(None, name_of(os.getpid()))
        self._writes = True

    def ensure_registered_as_reader(self) -> None:
        if self._reads:
            return
        readers = [_id_of(reader) for reader, _ in self._reader_and_node_list]
        if _own_id() not in readers:
            raise ValueError(f"{self}: this process is none of the readers.")
        self._core.become_reader(readers.index(_own_id()))
        self._core.name_end(readers.index(_own_id()), name_of(os.getpid()))
        self._reads = True

    def write(self, value: Any, timeout: float | None = None) -> None:
        self.ensure_registered_as_writer()
        self._wait(lambda left: self._core.write(value, left), _limit(timeout), self._reader_ends)

    def read(self, timeout: float | None = None) -> Any:
        self.ensure_registered_as_reader()
        return self._wait(self._core.read, _limit(timeout), self._writer_end)

    def _reader_ends(self) -> Sequence[tuple[int | None, Any]]:
        return [(i, reader) for i, (reader, _) in enumerate(self._reader_and_node_list)]

    def _writer_end(self) -> Sequence[tuple[int | None, Any]]:
        return [(None, self._writer)]

    def _wait(
        self,
        call: Callable[[float], Any],
        timeout: float | None,
        others: Callable[[], Sequence[tuple[int | None, Any]]],
    ) -> Any:
        """Calls until it is there; `others` are the ends that it waits for, and who is to be there."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                return call(LOOK_S if left is None else min(left, LOOK_S))
            except exceptions.RayChannelTimeoutError:
                if left is not None and left <= LOOK_S:
                    raise
            gone = [who for end, who in others() if self._has_ended(end, who)]
            if gone:
                try:
                    return call(0.0)  # what it did last
                except exceptions.RayChannelTimeoutError:
                    self.close()
                    raise exceptions.RayChannelError(
                        f"{self}: {gone[0] or 'the driver'}, which this process waits for, has ended."
                    ) from None

    def _has_ended(self, end: int | None, who: Any) -> bool:
        """Whether the process at an end does not run any more; of an actor that has not come yet, whether it never
        will."""
        process = self._core.process_at(end)
        if not process and who is None:
            process = self._driver
        if process:
            return not still_runs(process)
        if who is None:
            return False
        rows = [row for row in client().all_actors() if row["actor_id"] == _id_of(who)]
        return any(row["state"] == "DEAD" for row in rows)

    def close(self) -> None:
        self._core.close()

    def __reduce__(self) -> Any:
        return (
            _open,
            (
                *(type(self), self._writer, self._reader_and_node_list, self._typ),
                *(self._address, self._driver),
            ),
        )

    def __str__(self) -> str:
        return f"{type(self).__name__}({self._address[2]:016x})"


def _open(kind: Any, writer: Any, readers: Any, typ: Any, address: Any, driver: int) -> Channel:
    from ..._core import Channel as Core

    made: Channel = kind.__new__(kind)
    Channel.__init__(made, writer, readers, typ, (Core.open(address), address, driver))
    return made


class BufferedSharedMemoryChannel(Channel):
    """A Channel that holds up to `num_shm_buffers` values which readers have not read."""

    def __init__(
        self,
        writer: Any,
        reader_and_node_list: list[tuple[Any, Any]],
        num_shm_buffers: int,
        typ: int | SharedMemoryType | None = None,
    ) -> None:
        size = typ.buffer_size_bytes if isinstance(typ, SharedMemoryType) else typ
        super().__init__(
            writer,
            reader_and_node_list,
            SharedMemoryType(buffer_size_bytes=size, num_shm_buffers=num_shm_buffers),
        )


_here: dict[
    str, deque[Any]
] = {}  # of channels within this process, by their ids: (value, reads left)


class IntraProcessChannel(ChannelInterface):
    """Within one process: readers get the very object, `num_readers` times; copy it before you change it."""

    def __init__(self, num_readers: int, _channel_id: str | None = None) -> None:
        self._num_readers = num_readers
        self._channel_id = _channel_id or uuid.uuid4().hex

    def write(self, value: Any, timeout: float | None = None) -> None:
        _here.setdefault(self._channel_id, deque()).append([value, self._num_readers])

    def _has_value(self) -> bool:
        return bool(_here.get(self._channel_id))

    def read(self, timeout: float | None = None) -> Any:
        if not self._has_value():
            raise exceptions.RayChannelError(f"{self}: nothing was written that is not read")
        entry = _here[self._channel_id][0]
        entry[1] -= 1
        if entry[1] == 0:
            _here[self._channel_id].popleft()
        return entry[0]

    def close(self) -> None:
        _here.pop(self._channel_id, None)

    def __reduce__(self) -> Any:
        return (IntraProcessChannel, (self._num_readers, self._channel_id))

    def __str__(self) -> str:
        return f"IntraProcessChannel(channel_id={self._channel_id})"


class CachedChannel(ChannelInterface):
    """Reads a value of `inner_channel` once and gives it to `num_reads` reads of this process; without an inner
    channel, values that this process has written."""

    def __init__(
        self,
        num_reads: int,
        inner_channel: ChannelInterface | None = None,
        _channel_id: str | None = None,
    ) -> None:
        if num_reads <= 0:
            raise AssertionError("num_reads must be greater than 0.")
        self._num_reads = num_reads
        self._inner_channel = inner_channel
        self._cache = IntraProcessChannel(num_reads, _channel_id)

    def ensure_registered_as_writer(self) -> None:
        if self._inner_channel is not None:
            self._inner_channel.ensure_registered_as_writer()

    def ensure_registered_as_reader(self) -> None:
        if self._inner_channel is not None:
            self._inner_channel.ensure_registered_as_reader()

    def write(self, value: Any, timeout: float | None = None) -> None:
        (self._inner_channel or self._cache).write(value, timeout)

    def read(self, timeout: float | None = None) -> Any:
        if not self._cache._has_value() and self._inner_channel is not None:
            self._cache.write(self._inner_channel.read(timeout))
        return self._cache.read()

    def close(self) -> None:
        if self._inner_channel is not None:
            self._inner_channel.close()
        self._cache.close()

    def __reduce__(self) -> Any:
        return (CachedChannel, (self._num_reads, self._inner_channel, self._cache._channel_id))

    def __str__(self) -> str:
        return f"CachedChannel(num_reads={self._num_reads}, inner_channel={self._inner_channel})"


class CompositeChannel(ChannelInterface):
    """To readers in the writer's own process directly, to others through shared memory."""

    def __init__(
        self,
        writer: Any,
        reader_and_node_list: list[tuple[Any, Any]],
        num_shm_buffers: int,
        driver_actor_id: str | None = None,
        _parts: tuple[Any, Any] | None = None,
    ) -> None:
        self._writer = writer
        self._reader_and_node_list = list(reader_and_node_list)
        self._num_shm_buffers = num_shm_buffers
        self._driver_actor_id = driver_actor_id
        if _parts is None:
            others = [pair for pair in reader_and_node_list if _id_of(pair[0]) != _id_of(writer)]
            local = IntraProcessChannel(1) if len(others) < len(reader_and_node_list) else None
            shared = (
                BufferedSharedMemoryChannel(writer, others, num_shm_buffers) if others else None
            )
            _parts = (local, shared)
        self._local: IntraProcessChannel | None = _parts[0]
        self._shared: BufferedSharedMemoryChannel | None = _parts[1]

    def _own(self) -> Any:
        return self._local if _own_id() == _id_of(self._writer) else self._shared

    def ensure_registered_as_writer(self) -> None:
        if self._shared is not None:
            self._shared.ensure_registered_as_writer()

    def ensure_registered_as_reader(self) -> None:
        self._own().ensure_registered_as_reader()

    def write(self, value: Any, timeout: float | None = None) -> None:
        for part in (self._local, self._shared):
            if part is not None:
                part.write(value, timeout)

    def read(self, timeout: float | None = None) -> Any:
        return self._own().read(timeout)

    def close(self) -> None:
        for part in (self._local, self._shared):
            if part is not None:
                part.close()

    def __reduce__(self) -> Any:
        return (
            CompositeChannel,
            (
                *(self._writer, self._reader_and_node_list, self._num_shm_buffers),
                *(self._driver_actor_id, (self._local, self._shared)),
            ),
        )

    def __str__(self) -> str:
        return f"CompositeChannel(local={self._local}, shared={self._shared})"
