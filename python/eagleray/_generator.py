"""Consumers of generator tasks."""

from __future__ import annotations

from typing import Any


class ObjectRefGenerator:
    """References to the items of a generator task, as they are made.

    `next()` waits for the next item and gives its ObjectRef; `ray.get` of a reference raises if the
    generator raised there, and StopIteration follows. Dropping it tells the generator to stop.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> ObjectRefGenerator:
        return self

    def __next__(self) -> Any:
        ref = self._stream.next_ref(None)
        if ref is None:
            raise StopIteration
        return ref

    def _next_sync(self, timeout_s: float | None = None) -> Any:
        return self._stream.next_ref(timeout_s)

    def __aiter__(self) -> ObjectRefGenerator:
        return self

    async def __anext__(self) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        ref = await loop.run_in_executor(None, self._stream.next_ref, None)
        if ref is None:
            raise StopAsyncIteration
        return ref

    def completed(self) -> Any:
        """A reference that is ready when the generator has ended."""
        return self._stream.completed()

    def is_finished(self) -> bool:
        return bool(self._stream.finished())

    def next_ready(self) -> bool:
        return bool(self._stream.has_next())

    def close(self) -> None:
        self._stream = None

    def __reduce__(self) -> Any:
        raise TypeError(
            "You cannot return or pass a generator to other tasks. Pass its references instead."
        )


class DynamicObjectRefGenerator:
    """The value of a task with num_returns="dynamic": references to its items."""

    def __init__(self, refs: list[Any]) -> None:
        self._refs = refs

    def __iter__(self) -> Any:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    def __getitem__(self, index: int) -> Any:
        return self._refs[index]
