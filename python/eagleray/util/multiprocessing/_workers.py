"""The workers of a Pool and who gives them chunks. A worker is an actor; it gets its next chunk when it has
answered, or a few at once where chunks take less time than an answer. Answers come in on the thread of
references' call-backs, which therefore never runs user code."""

from __future__ import annotations

import itertools
import multiprocessing.pool
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import eagleray as ray

CALL, MAP, STARMAP = range(
    3
)  # what a chunk's items are: (args, kwargs), an argument, a tuple of arguments
AHEAD_S = 0.005  # of work that a worker may have waiting
AHEAD_CHUNKS_MAX = 16
_pools: Any = multiprocessing.pool  # its exceptions have no public types
_numbers = itertools.count(1)


def _innermost(function: Any) -> Any:
    """What a partial or a bound method calls."""
    while not hasattr(function, "__globals__"):
        inner = getattr(function, "func", None) or getattr(function, "__func__", None)
        if inner is None:
            return None
        function = inner
    return function


class PoolActor:
    """Runs in a worker. It keeps the last function, so that one is sent once, not once a chunk."""

    def __init__(self, initializer: Any, initargs: Any) -> None:
        self._number = 0
        self._function: Any = None
        self._globals: dict[str, Any] = {}
        if initializer is not None:
            self._initialize(initializer, initargs)

    def _initialize(self, initializer: Any, initargs: Any) -> None:
        # Functions of __main__ arrive each with globals of their own; in a forked process they share them.
        inner = _innermost(initializer)
        names = inner.__globals__ if inner is not None else {}
        before = dict(names)
        initializer(*initargs)
        if getattr(inner, "__module__", "") == "__main__":
            nothing = object()
            self._globals = {k: v for k, v in names.items() if before.get(k, nothing) is not v}

    def _load(self, function: Any) -> None:
        self._function = function
        if self._globals:
            inner = _innermost(function)
            if getattr(inner, "__module__", "") == "__main__":
                inner.__globals__.update(self._globals)

    def ping(self) -> int:
        import os

        return os.getpid()

    def run(
        self, number: int, function: Any, kind: int, items: list[Any]
    ) -> tuple[bool, Any, float]:
        """(True, results, seconds) or (False, the first exception with its traceback, seconds)."""
        began = time.perf_counter()
        if function is not None:
            self._load(function[0])
        call = self._function
        try:
            if kind == MAP:
                value: Any = [call(item) for item in items]
            elif kind == STARMAP:
                value = [call(*item) for item in items]
            else:
                value = [call(*args, **kwargs) for args, kwargs in items]
        except Exception as error:
            return False, _with_traceback(error), time.perf_counter() - began
        return True, value, time.perf_counter() - began


def _with_traceback(error: Exception) -> Any:
    """Pickles to the exception with a RemoteTraceback as its cause, as the standard library's does."""
    import pickle

    from ..._serialization import dumps

    wrapped = _pools.ExceptionWithTraceback(error, error.__traceback__)
    try:
        pickle.loads(dumps(wrapped)[0])
    except Exception as problem:
        return _pools.MaybeEncodingError(problem, error)
    return wrapped


class Function:
    """A function that chunks call; `number` names it to workers."""

    def __init__(self, function: Callable[..., Any], kind: int) -> None:
        self.number = next(_numbers)
        self.function = function
        self.kind = kind


class Chunk:
    __slots__ = ("done", "function", "items")

    def __init__(self, function: Function, items: list[Any], done: Callable[[bool, Any], None]):
        self.function = function
        self.items = items
        self.done = done  # called once, on any thread, with no lock held


class Worker:
    """The driver's side of a worker."""

    def __init__(self, actor: Any, chunks_left: int) -> None:
        self.actor = actor
        self.chunks_left = chunks_left  # until it is replaced; -1: no limit
        self.running: deque[Chunk] = deque()
        self.number = 0  # of the function that it has
        self.first = actor.ping.remote()

    @property
    def pid(self) -> int:
        pid: int = ray.get(self.first)
        return pid


class Workers:
    """Gives chunks to workers; thread-safe. `make()` makes an actor."""

    def __init__(self, count: int, make: Callable[[], Any], chunks_each: int) -> None:
        self._make = make
        self._chunks_each = chunks_each
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._waiting: deque[Chunk] = deque()
        self._retired: list[Worker] = []  # get nothing more, and still have something to do
        self._ending: list[Any] = []  # references of the last calls of workers
        self._terminated = False
        self._chunk_s = 1.0  # how long a chunk takes, lately
        self.all = [self._new() for _ in range(count)]

    def _new(self) -> Worker:
        return Worker(self._make(), self._chunks_each)

    def wait_for_start(self) -> None:
        """Raises what a worker's constructor raised."""
        ray.get([worker.first for worker in self.all])

    def submit(self, chunk: Chunk) -> None:
        with self._lock:
            if not self._terminated:
                self._waiting.append(chunk)
                failed = self._give()
            else:
                failed = [(chunk, _terminated())]
        for each, error in failed:
            each.done(False, error)

    def _give(self) -> list[tuple[Chunk, BaseException]]:
        """With the lock held. Returns what cannot be sent, and why."""
        failed: list[tuple[Chunk, BaseException]] = []
        ahead = max(1, min(AHEAD_CHUNKS_MAX, int(AHEAD_S / max(self._chunk_s, 1e-9))))
        while self._waiting:
            worker = min(self.all, key=lambda each: len(each.running))
            if len(worker.running) >= ahead:
                break
            chunk = self._waiting.popleft()
            try:
                self._send(worker, chunk)
            except BaseException as error:  # it cannot be pickled
                failed.append((chunk, error))
        return failed

    def _send(self, worker: Worker, chunk: Chunk) -> None:
        function = chunk.function
        known = worker.number == function.number
        sent = None if known else (function.function,)
        ref = worker.actor.run.remote(function.number, sent, function.kind, chunk.items)
        worker.number = function.number
        worker.running.append(chunk)
        if worker.chunks_left > 0:
            worker.chunks_left -= 1
            if worker.chunks_left == 0:
                self.all[self.all.index(worker)] = self._new()
                self._retired.append(worker)
        ref._on_completed(lambda answer: self._answered(worker, chunk, answer))

    def _answered(self, worker: Worker, chunk: Chunk, answer: Any) -> None:
        """On the call-back thread: a chunk's outcome, or the exception that took its place."""
        outcome: tuple[bool, Any] | None
        with self._lock:
            died = isinstance(answer, ray.exceptions.RayActorError)
            if chunk not in worker.running:  # terminated
                return
            had_begun = worker.running[0] is chunk
            worker.running.remove(chunk)
            if died and not had_begun and not self._terminated:
                self._waiting.appendleft(chunk)  # it had not begun: another worker runs it
                outcome = None
            elif isinstance(answer, BaseException):
                outcome = (False, _encoding_error(answer))
            else:
                outcome = answer[:2]
                self._chunk_s += (answer[2] - self._chunk_s) * 0.5
            if died and worker in self.all and not self._terminated:
                self.all[self.all.index(worker)] = self._new()
            if worker in self._retired and not worker.running:
                self._retired.remove(worker)
                if not died:
                    self._ending.append(worker.actor.__ray_terminate__.remote())
            failed = [] if self._terminated else self._give()
            if not self._busy():
                self._idle.notify_all()
        if outcome is not None:
            chunk.items = []  # whoever still knows the chunk keeps nothing of the user's
            done, chunk.done = chunk.done, _nothing
            done(*outcome)
        for each, error in failed:
            each.done(False, error)

    def _busy(self) -> bool:
        return bool(self._waiting) or any(w.running for w in self.all + self._retired)

    def finish(self) -> None:
        """Waits until all chunks are done, then ends the workers."""
        with self._lock:
            while self._busy() and not self._terminated:
                self._idle.wait()
            ended, self.all = self.all, []
            if not self._terminated:
                self._ending += [worker.actor.__ray_terminate__.remote() for worker in ended]
            ending, self._ending = self._ending, []
        if ending:
            ray.wait(ending, num_returns=len(ending))

    def terminate(self) -> None:
        """Ends the workers at once; what is not done fails."""
        with self._lock:
            if self._terminated:
                return
            self._terminated = True
            workers = self.all + self._retired
            left = [*self._waiting, *(chunk for worker in workers for chunk in worker.running)]
            self._waiting.clear()
            for worker in workers:
                worker.running.clear()
            self._idle.notify_all()
        for worker in workers:
            try:
                ray.kill(worker.actor)
            except (ConnectionError, ray.exceptions.RayError):  # the cluster has ended
                break
        for chunk in left:
            chunk.done(False, _terminated())


def _nothing(good: bool, value: Any) -> None:
    pass


def _terminated() -> Exception:
    return ray.exceptions.ActorDiedError("The pool was terminated before this call had ended.")


def _encoding_error(error: BaseException) -> BaseException:
    """A result that cannot be pickled is a MaybeEncodingError, as in the standard library."""
    if isinstance(error, TypeError) and "Could not serialize" in str(error):
        error = _pools.MaybeEncodingError(error, "<the chunk's results>")
    return error
