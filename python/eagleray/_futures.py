"""What Python adds to references: call-backs when they are ready, futures, `await`."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from ._state import client, state

logger = logging.getLogger("eagleray")

_Callbacks = dict[Any, list[Callable[[Any], None]]]  # the key keeps the reference
_callback_lock = threading.Lock()
_callback_thread: tuple[int, _Callbacks] | None = None  # of which session, and what it has to call


def _run_callbacks(core: Any, session: int, callbacks: _Callbacks) -> None:
    while state.session == session and not core.exiting():
        # In a function of its own: nothing of the last call-backs is kept while this waits.
        _call_all(callbacks, core.take_notifications(200))
    if not core.exiting():  # after shutdown() nobody else would tell those who wait
        with _callback_lock:
            left = list(callbacks)
        _call_all(callbacks, left)


def _call_all(callbacks: _Callbacks, refs: list[Any]) -> None:
    for ref in refs:
        with _callback_lock:
            waiting = callbacks.pop(ref, [])
        for callback in waiting:
            try:
                callback(ref)
            except Exception:
                logger.exception("call-back of %r failed", ref)


def _when_ready(ref: Any, callback: Callable[[Any], None]) -> None:
    """Calls callback(ref) once it is ready: on the call-back thread, or at once."""
    global _callback_thread
    core = client()
    with _callback_lock:
        if _callback_thread is None or _callback_thread[0] != state.session:
            _callback_thread = (state.session, {})
            threading.Thread(
                target=_run_callbacks,
                args=(core, *_callback_thread),
                daemon=True,
                name="eagleray-callbacks",
            ).start()
        callbacks = _callback_thread[1]
        callbacks.setdefault(ref, []).append(callback)
    if core.want_notification(ref):
        with _callback_lock:
            waiting = callbacks.pop(ref, [])
        for each in waiting:
            each(ref)


def _future(ref: Any) -> Any:
    """A concurrent.futures.Future with the reference's value."""
    from concurrent.futures import Future

    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()

    def done(ready: Any) -> None:
        try:
            value = _value(ready)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(value)

    _when_ready(ref, done)
    return future


def _as_future(ref: Any) -> Any:
    import asyncio

    return asyncio.wrap_future(_future(ref))


def _await(ref: Any) -> Any:
    return _as_future(ref).__await__()


def extend_object_ref(cls: Any) -> None:
    """Gives the core's ObjectRef the methods that are written in Python."""
    from ._ids import JobID, TaskID

    cls.future = _future
    cls.as_future = _as_future
    cls.__await__ = _await
    cls._on_completed = lambda self, callback: _when_ready(
        self, lambda ref: callback(_value_or_error(ref))
    )
    cls.task_id = lambda self: TaskID(self.task_id_binary())
    cls.job_id = lambda self: JobID(self.binary()[20:24])
    cls.call_site = lambda self: ""
    cls.size = classmethod(lambda c: 28)
    cls.nil = classmethod(lambda c: c(b"\xff" * 28))
    cls.from_binary = classmethod(lambda c, value: c(value))
    cls.from_hex = classmethod(lambda c, text: c(bytes.fromhex(text)))
    cls.from_random = classmethod(lambda c: c(os.urandom(24) + bytes(4)))


def _value(ref: Any) -> Any:
    """Of a reference that is ready. After shutdown() it is an error, which connects to nothing."""
    core = state.client
    if core is None:
        raise ConnectionError(f"{ref!r} belongs to an earlier session: eagleray was shut down")
    return core.get([ref], 0)[0]


def _value_or_error(ref: Any) -> Any:
    try:
        return _value(ref)
    except BaseException as error:
        return error
