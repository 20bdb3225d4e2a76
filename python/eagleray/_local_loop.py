"""The event loop of an async actor in local mode: it runs while somebody waits for a coroutine, on that thread."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable
from concurrent.futures import TimeoutError as Late
from typing import Any

LOOK_S = 0.02  # a coroutine on the loop of another thread: whether that has stopped is looked at so often

# Threads that wait for this one: their loops stand still.
_waiting: contextvars.ContextVar[frozenset[int]] = contextvars.ContextVar(
    "waiting", default=frozenset()
)


class Loop:
    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runs_on: int | None = None
        self._lock = threading.Lock()

    def _enter(self) -> bool:
        """Takes the loop for this thread. False: another has it."""
        with self._lock:
            if self._runs_on is not None:
                return False
            self._runs_on = threading.get_ident()
            self._loop = self._loop or asyncio.new_event_loop()
            return True

    def _finish(self, awaitable: Any) -> Any:
        """Runs the loop, which is this thread's, until the awaitable is done."""
        assert self._loop is not None
        try:
            return self._loop.run_until_complete(awaitable)
        finally:
            self._runs_on = None

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Its result, when it has one. Several threads may wait at once."""
        if _runs_here():
            return self._on_a_thread(awaitable)

        async def waits() -> Any:
            return await awaitable

        wrapped = waits()
        if self._enter():
            return self._finish(wrapped)
        if self._runs_on in _waiting.get():  # it waits for us: the actor calls itself
            return asyncio.run(wrapped)
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(wrapped, self._loop)
        while True:
            try:
                return future.result(LOOK_S)
            except Late:
                if future.done():
                    return future.result()
                if self._enter():
                    return self._finish(asyncio.wrap_future(future, loop=self._loop))

    def _on_a_thread(self, awaitable: Awaitable[Any]) -> Any:
        """From inside of a coroutine, whose thread has a loop that runs already."""
        outcome: list[Any] = []
        failed: list[BaseException] = []
        context = contextvars.copy_context()
        context.run(_waiting.set, _waiting.get() | {threading.get_ident()})

        def target() -> None:
            try:
                outcome.append(context.run(self.run, awaitable))
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=target, daemon=True, name="eagleray-local-loop")
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return outcome[0]


def _runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
