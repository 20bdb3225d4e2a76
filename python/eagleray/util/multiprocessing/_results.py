"""What a Pool's calls give: results to wait for, and iterators over them."""

from __future__ import annotations

import collections
import itertools
import queue
import threading
import time
import types
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import TimeoutError
from typing import Any

from ._workers import Chunk, Function, Workers


class CallbackThread:
    """Runs users' call-backs one after the other; started with the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: queue.SimpleQueue[Any] | None = None
        self._thread: threading.Thread | None = None

    def call(self, function: Callable[[], None]) -> None:
        with self._lock:
            if self._calls is None:
                self._calls = queue.SimpleQueue()
                self._thread = threading.Thread(
                    target=_run_all, args=(self._calls,), daemon=True, name="eagleray-pool"
                )
                self._thread.start()
            self._calls.put(function)

    def stop(self, wait: bool) -> None:
        with self._lock:
            calls, self._calls, thread = self._calls, None, self._thread
            if calls is not None:
                calls.put(None)
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join()


def _run_all(calls: queue.SimpleQueue[Any]) -> None:
    import sys

    while True:
        function = calls.get()
        if function is None:
            return
        try:
            function()
        except BaseException:  # a call-back's own: it is told, and the others still run
            sys.excepthook(*sys.exc_info())
        del function


class AsyncResult:
    """The result of apply_async, map_async or starmap_async: `chunks` answers to come."""

    __class_getitem__: Any = classmethod(types.GenericAlias)

    def __init__(
        self,
        chunks: int,
        single: bool,
        callback: Any,
        error_callback: Any,
        callbacks: CallbackThread,
    ) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._parts: list[Any] = [None] * chunks
        self._left = chunks
        self._single = single
        self._error: Any = None
        self._value: Any = None
        self._callback = callback
        self._error_callback = error_callback
        self._callbacks = callbacks
        if not chunks:
            self._finish()

    def _part(self, index: int) -> Callable[[bool, Any], None]:
        return lambda good, value: self._set(index, good, value)

    def _set(self, index: int, good: bool, value: Any) -> None:
        with self._lock:
            if good:
                self._parts[index] = value
            elif self._error is None:
                self._error = value
            self._left -= 1
            last = self._left == 0
        if last:
            self._finish()

    def _finish(self) -> None:
        if self._error is None:
            if self._single:
                self._value = self._parts[0][0]
            else:
                self._value = list(itertools.chain.from_iterable(self._parts))
        self._parts = []
        call = self._callback if self._error is None else self._error_callback
        outcome = self._value if self._error is None else self._error
        self._callback = self._error_callback = None
        if call is None:
            self._event.set()
            return

        def told() -> None:
            try:
                call(outcome)
            finally:
                self._event.set()

        self._callbacks.call(told)

    def ready(self) -> bool:
        """Whether all of it is there, or has failed."""
        return self._event.is_set()

    def successful(self) -> bool:
        """Whether nothing was raised. ValueError when it is not ready."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._error is None

    def wait(self, timeout: float | None = None) -> None:
        """Returns when it is ready, or after `timeout` seconds."""
        self._event.wait(timeout)

    def get(self, timeout: float | None = None) -> Any:
        """The value; multiprocessing.TimeoutError after `timeout` seconds; raises what the call raised,
        for map the first that came in."""
        if not self._event.wait(timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._value


class IMapIterator:
    """Results one by one. Items are taken from the iterable as results are taken from here, some chunks ahead,
    so that it may be endless; the pool's join() takes what is left."""

    def __init__(
        self,
        workers: Workers,
        function: Function,
        iterable: Iterable[Any],
        chunksize: int,
        ahead: int,
    ) -> None:
        self._workers = workers
        self._function = function
        self._source: Iterator[Any] | None = iter(iterable)
        self._chunksize = chunksize
        self._ahead = ahead  # chunks
        self._sent = 0
        self._taken = 0
        self._lock = threading.Condition()
        self._items: collections.deque[Any] = collections.deque()  # of the chunk taken last
        self._error: BaseException | None = None  # what the iterable raised, in its place
        self._filling = threading.RLock()
        self._fill()

    def _fill(self) -> None:
        while self._sent - self._taken < self._ahead and self._send_one():
            pass

    def _send_all(self) -> None:
        """What is left of the iterable; for join()."""
        while self._send_one():
            pass

    def _send_one(self) -> bool:
        """Whether there was a chunk."""
        with self._filling:
            if self._source is None:
                return False
            try:
                items = list(itertools.islice(self._source, self._chunksize))
            except Exception as error:
                self._error, self._source = error, None
                return False
            if not items:
                self._source = None
                return False
            index = self._sent
            self._sent += 1
            self._workers.submit(Chunk(self._function, items, self._part(index)))
            return True

    def _part(self, index: int) -> Callable[[bool, Any], None]:
        def done(good: bool, value: Any) -> None:
            with self._lock:
                self._arrive(index, (good, value))
                self._lock.notify_all()

        return done

    def _arrive(self, index: int, outcome: tuple[bool, Any]) -> None:
        raise NotImplementedError

    def _depart(self) -> tuple[bool, Any] | None:
        """The next chunk's outcome, if it is there; with the lock held."""
        raise NotImplementedError

    def __iter__(self) -> IMapIterator:
        return self

    def next(self, timeout: float | None = None) -> Any:
        """The next result; multiprocessing.TimeoutError when it does not come within `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._items:
            if self._taken == self._sent:
                error, self._error = self._error, None
                raise error or StopIteration
            with self._lock:
                while (outcome := self._depart()) is None:  # others may come first
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        raise TimeoutError
                    self._lock.wait(left)
            self._taken += 1
            self._fill()
            good, value = outcome
            if not good:
                raise value
            self._items.extend(value)
        return self._items.popleft()

    __next__ = next


class OrderedIMapIterator(IMapIterator):
    """In the order of the items."""

    def _arrive(self, index: int, outcome: tuple[bool, Any]) -> None:
        self.__dict__.setdefault("_arrived", {})[index] = outcome

    def _depart(self) -> tuple[bool, Any] | None:
        arrived: dict[int, Any] = self.__dict__.setdefault("_arrived", {})
        outcome: tuple[bool, Any] | None = arrived.pop(self._taken, None)
        return outcome


class UnorderedIMapIterator(IMapIterator):
    """In the order in which they come."""

    def _arrive(self, index: int, outcome: tuple[bool, Any]) -> None:
        self.__dict__.setdefault("_arrived", collections.deque()).append(outcome)

    def _depart(self) -> tuple[bool, Any] | None:
        arrived = self.__dict__.setdefault("_arrived", collections.deque())
        return arrived.popleft() if arrived else None
