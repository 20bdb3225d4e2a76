"""The workers of a Pool and who gives them chunks. A worker is an actor; it gets a message of one chunk, and the next
when it has answered. Where a function's chunks take less time than an answer, a message has several of one call, and
two of that function are on their way: nothing waits behind another function's, which may take long. Answers come in on the thread of references' call-backs, which therefore never runs user code."""

from __future__ import annotations

import itertools
import math
import multiprocessing.pool
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import eagleray as ray

from ..._processes import runs
from ..._state import state
from ._progress import Page, Seat

MESSAGE_S = 0.0025  # of work in one message, if chunks take less
MESSAGE_CHUNKS_MAX = 64
_pools: Any = multiprocessing.pool  # its exceptions have no public types
_numbers = itertools.count(1)


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

    def __init__(self, make: Callable[[Seat | None], Any], chunks_left: int, page: Page) -> None:
        self._page = page
        self.seat = page.take()
        self.actor = actor = make(self.seat)
        self.chunks_left = chunks_left  # until it is replaced; -1: no limit
        self.running: deque[list[Chunk]] = deque()  # by message
        self._messages: dict[int, int] = {}  # their numbers, from 1, by id() of their chunks
        self._sent = 0
        self.number = 0  # of the function that it has
        self.first = actor.ping.remote()
        self._seen: int | None = None  # its process; 0: not one that can be seen from here

    @property
    def pid(self) -> int:
        pid: int = ray.get(self.first)
        return pid

    def see(self) -> None:
        """When it has answered: learns which process it is."""
        if self._seen is None:
            pid = self.pid
            self._seen = pid if runs(pid) else 0

    def is_gone(self) -> bool:
        """Whether its process has ended, as far as can be told: it may have been killed while it was idle, and
        the news of its death be on its way."""
        return bool(self._seen and not runs(self._seen))

    def begin(self, chunks: list[Chunk]) -> int:
        """A message is on its way; its number."""
        self._sent += 1
        self._messages[id(chunks)] = self._sent
        self.running.append(chunks)
        return self._sent

    def end(self, chunks: list[Chunk]) -> None:
        """It has been answered, or was not sent, or the worker has died."""
        self.running = deque(each for each in self.running if each is not chunks)
        self._messages.pop(id(chunks), None)

    def has_begun(self, chunks: list[Chunk]) -> int:
        """How many chunks of a message it has begun, now that it has died."""
        begun = self._page.begun(self.seat, self._messages[id(chunks)])
        if begun is None:  # it could not say
            return len(chunks) if self.running[0] is chunks else 0
        return min(begun, len(chunks))

    def leave(self) -> None:
        """It is not used any more."""
        self._page.give_back(self.seat)
        self.seat = None


class Workers:
    """Gives chunks to workers; thread-safe. `make()` makes an actor with a seat in the page of progress."""

    def __init__(self, count: int, make: Callable[[Seat | None], Any], chunks_each: int) -> None:
        self._make = make
        self._page = Page()
        self._chunks_each = chunks_each
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._waiting: deque[Chunk] = deque()
        self._retired: list[Worker] = []  # get nothing more, and still have something to do
        self._ending: list[Any] = []  # references of the last calls of workers
        self._terminated = False
        self._session = state.session
        self._chunk_s = math.inf  # how long a chunk of the function takes that was timed last
        self._timed: Callable[[], Any] = _nobody  # that function, or None when it is gone
        self.all = [self._new() for _ in range(count)]

    def _is_cut_off(self) -> bool:
        """Whether shutdown() has ended the cluster; the call of a new actor would start another."""
        return state.client is None or state.session != self._session

    def _new(self) -> Worker:
        return Worker(self._make, self._chunks_each, self._page)

    def wait_for_start(self) -> None:
        """Raises what a worker's constructor raised."""
        ray.get([worker.first for worker in self.all])
        for worker in self.all:
            worker.see()

    def submit(self, chunk: Chunk) -> None:
        with self._lock:
            if not self._terminated and self.all:
                self._waiting.append(chunk)
                failed = self._give()
            else:
                failed = [(chunk, _terminated())]
        for each, error in failed:
            each.done(False, error)

    def _give(self) -> list[tuple[Chunk, BaseException]]:
        """With the lock held. Returns what cannot be sent, and why."""
        failed: list[tuple[Chunk, BaseException]] = []
        if self._is_cut_off():
            failed = [(chunk, _cut_off()) for chunk in self._waiting]
            self._waiting.clear()
        while self._waiting:
            function = self._waiting[0].function.function
            seconds = self._chunk_s if self._timed() is function else math.inf
            worker = self._free(function, seconds < MESSAGE_S)
            if worker is None:
                break
            chunks = self._take(worker, seconds)
            try:
                self._send(worker, chunks)
            except BaseException as error:  # one of them cannot be pickled
                failed += self._send_each(worker, chunks, error)
        return failed

    def _free(self, function: Any, quick: bool) -> Worker | None:
        """An idle worker; for a quick function also one that runs a message of the same."""
        worker = min(self.all, key=lambda each: len(each.running))
        if not worker.running:
            if worker.is_gone():
                worker.leave()
                fresh = self._new()
                self.all[self.all.index(worker)] = fresh
                return fresh
            return worker
        if quick:
            for each in self.all:
                if len(each.running) == 1 and each.running[0][0].function.function is function:
                    return each
        return None

    def _take(self, worker: Worker, seconds: float) -> list[Chunk]:
        """The chunks of the next message: of one call, and so few that the others have some, too."""
        count = min(MESSAGE_CHUNKS_MAX, int(MESSAGE_S / max(seconds, 1e-9)))
        count = min(count, len(self._waiting) // (2 * len(self.all)))
        if worker.chunks_left > 0:
            count = min(count, worker.chunks_left)
        chunks = [self._waiting.popleft()]
        while len(chunks) < count and self._waiting[0].function is chunks[0].function:
            chunks.append(self._waiting.popleft())
        return chunks

    def _send_each(
        self, worker: Worker, chunks: list[Chunk], error: BaseException
    ) -> list[tuple[Chunk, BaseException]]:
        """Those of a message that could not be sent whose own fault it is."""
        if len(chunks) == 1:
            return [(chunks[0], error)]
        failed = []
        for chunk in chunks:
            try:
                self._send(worker, [chunk])
            except BaseException as own:
                failed.append((chunk, own))
        return failed

    def _send(self, worker: Worker, chunks: list[Chunk]) -> None:
        function = chunks[0].function
        known = worker.number == function.number
        sent = None if known else (function.function,)
        message = worker.begin(chunks)
        try:
            ref = worker.actor.run.remote(
                message, sent, function.kind, [chunk.items for chunk in chunks]
            )
        except BaseException:
            worker.end(chunks)
            raise
        worker.number = function.number
        if worker.chunks_left > 0:
            worker.chunks_left -= len(chunks)
            if worker.chunks_left <= 0:
                self.all[self.all.index(worker)] = self._new()
                self._retired.append(worker)
        ref._on_completed(lambda answer: self._answered(worker, chunks, answer))

    def _answered(self, worker: Worker, chunks: list[Chunk], answer: Any) -> None:
        """On the call-back thread: a message's outcomes, or the exception that took their place."""
        with self._lock:
            if not any(each is chunks for each in worker.running):  # terminated
                return
            outcomes = self._take_answer(worker, chunks, answer)
            failed = [] if self._terminated else self._give()
            if not self._busy():
                self._idle.notify_all()
        for chunk, outcome in outcomes:
            chunk.items = []  # whoever still knows the chunk keeps nothing of the user's
            done, chunk.done = chunk.done, _nothing
            done(*outcome)
        for each, error in failed:
            each.done(False, error)

    def _take_answer(
        self, worker: Worker, chunks: list[Chunk], answer: Any
    ) -> list[tuple[Chunk, tuple[bool, Any]]]:
        """The chunks' outcomes; not of those that another worker is to run."""
        died = isinstance(answer, ray.exceptions.RayActorError)
        begun = worker.has_begun(chunks) if died and not self._terminated else len(chunks)
        worker.end(chunks)
        self._waiting.extendleft(reversed(chunks[begun:]))
        if isinstance(answer, BaseException):
            outcomes = [(False, _encoding_error(answer))] * begun
        else:
            outcomes = answer[0]
            worker.see()
            self._time(chunks[0].function.function, answer[1] / len(chunks))
        if died and worker in self.all and not self._terminated and not self._is_cut_off():
            self.all[self.all.index(worker)] = self._new()
        if worker in self._retired and not worker.running:
            self._retired.remove(worker)
            if not died and not self._is_cut_off():
                self._ending.append(worker.actor.__ray_terminate__.remote())
        if worker not in self.all and not worker.running:
            worker.leave()
        return list(zip(chunks, outcomes, strict=False))

    def _time(self, function: Any, seconds: float) -> None:
        if self._timed() is function:
            self._chunk_s = (self._chunk_s + seconds) / 2
            return
        try:
            self._timed, self._chunk_s = weakref.ref(function), seconds
        except TypeError:  # it takes no weak references
            self._timed, self._chunk_s = _nobody, math.inf

    def _busy(self) -> bool:
        return bool(self._waiting) or any(w.running for w in self.all + self._retired)

    def finish(self) -> None:
        """Waits until all chunks are done, then ends the workers."""
        with self._lock:
            while self._busy() and not self._terminated:
                self._idle.wait()
            ended, self.all = self.all, []
            if self._is_cut_off():
                self._ending = []
            elif not self._terminated:
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
            left = [
                *self._waiting,
                *(c for worker in workers for sent in worker.running for c in sent),
            ]
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


def _nobody() -> None:
    pass


def _nothing(good: bool, value: Any) -> None:
    pass


def _terminated() -> Exception:
    return ray.exceptions.ActorDiedError("The pool was terminated before this call had ended.")


def _cut_off() -> Exception:
    return ConnectionError("the pool's processes have ended: ray.shutdown() was called")


def _encoding_error(error: BaseException) -> BaseException:
    """A result that cannot be pickled is a MaybeEncodingError, as in the standard library."""
    if isinstance(error, TypeError) and "Could not serialize" in str(error):
        error = _pools.MaybeEncodingError(error, "<the chunk's results>")
    return error
