"""The writer of an experiment: one thread that does what the controller need not wait for, in order.

A turn of the controller's loop gathers what is to be written (lines of loggers' files, then the journal's transaction,
then the removal of files) and pushes it as one batch. What comes first is on disk first, so that the order that a resume
relies on holds with the thread as it would without. Batches that wait together share one transaction. The thread decides
nothing.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

BATCHES_MAX = 64  # that are not written yet; then the controller waits


class Writer:
    """Used by the controller's thread. on_failure(owner, error): is told, in the writer's thread, of an OSError of what
    an owner wanted; any other exception is raised by the next push()."""

    def __init__(self, on_failure: Callable[[Any, OSError], None]) -> None:
        self._on_failure = on_failure
        self._gathered: list[tuple[Any, Callable[..., Any], tuple[Any, ...]]] = []
        self._batches: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pushed = self._done = 0
        self._progress = threading.Condition()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.at_rest: Callable[[], None] | None = (
            None  # called when no batch waits, and then all are done
        )

    def do(self, owner: Any, what: Callable[..., Any], *arguments: Any) -> None:
        """Does it with the next push(), after what has been asked for before."""
        self._gathered.append((owner, what, arguments))

    def push(self) -> int:
        """Hands over what has been gathered; gives a number to wait() for."""
        self._raise()
        if not self._gathered:
            return self._pushed
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name="tune-writer", daemon=True)
            self._thread.start()
        batch, self._gathered = self._gathered, []
        self._pushed += 1
        self._batches.put(batch)
        if self._pushed - self._done > BATCHES_MAX:
            self.wait(self._pushed - BATCHES_MAX // 2)
        return self._pushed

    def wait(self, number: int) -> None:
        """Until the batch of this number is done."""
        if self._done < number:
            with self._progress:
                self._progress.wait_for(lambda: self._done >= number)
        self._raise()

    def flush(self) -> None:
        """Until all is done."""
        self.wait(self.push())

    def ask(self, what: Callable[..., Any], *arguments: Any) -> Any:
        """What it gives or raises, when all before it is done."""
        answer: Future[Any] = Future()

        def give() -> None:
            try:
                answer.set_result(what(*arguments))
            except BaseException as error:
                answer.set_exception(error)

        self.do(None, give)
        self.flush()
        return answer.result()

    def close(self) -> None:
        """Ends the thread when all is done."""
        try:
            self.flush()
        finally:
            if self._thread is not None:
                self._batches.put(None)
                self._thread.join()
                self._thread = None

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _main(self) -> None:
        batch = self._batches.get()
        while batch is not None:
            done = 0
            while batch is not None:
                for owner, what, arguments in batch:
                    self._try(owner, what, arguments)
                done += 1
                if done == BATCHES_MAX or self._batches.empty():
                    break
                batch = self._batches.get()
            if self.at_rest is not None:
                self._try(None, self.at_rest, ())
            with self._progress:
                self._done += done
                self._progress.notify_all()
            batch = batch and self._batches.get()

    def _try(self, owner: Any, what: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            what(*arguments)
        except OSError as error:
            self._on_failure(owner, error)
        except BaseException as error:
            self._error = self._error or error


class AtOnce:
    """Stands for a Writer where there is none: everything is done when it is asked for."""

    def do(self, owner: Any, what: Callable[..., Any], *arguments: Any) -> None:
        what(*arguments)


AT_ONCE = AtOnce()
