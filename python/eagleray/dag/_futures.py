"""Results of a compiled graph for asyncio: one thread reads them, in order, for the futures that wait."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

from . import _loop


class Futures:
    """Of one graph. Its thread ends when the graph's channels are closed and nobody waits, or with the graph."""

    def __init__(self, outputs: list[Any]) -> None:
        self.awaited = 0  # executions whose results were taken, or given up
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(
            target=_read,
            args=(outputs, self._waiting),
            daemon=True,
            name="compiled-graph-results",
        ).start()

    def next(self) -> asyncio.Future[list[Any]]:
        """Of the execution that was just begun, in the running loop: the values of all outputs."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.put((asyncio.get_running_loop(), future))
        return future

    def __del__(self) -> None:
        self._waiting.put(None)


def _settle(future: asyncio.Future[Any], values: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(values)
    else:
        future.set_exception(error)
        future.exception()  # nobody may ask for it: that is no reason to complain


def _read(outputs: list[Any], waiting: queue.SimpleQueue[Any]) -> None:
    while True:
        entry = waiting.get()
        if entry is None:
            return
        loop, future = entry
        values, error = None, None
        try:
            values = [_loop.read(channel, None, "taking a result") for channel in outputs]
        except Exception as caught:
            error = caught
        try:
            loop.call_soon_threadsafe(_settle, future, values, error)
        except RuntimeError:  # that loop has ended
            pass
        del values, error, entry, future
