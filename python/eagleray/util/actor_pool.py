"""ActorPool: gives work to whichever of its actors is free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import eagleray as ray


class ActorPool:
    """A pool of actors.

    actors: handles; none may be in another pool. `fn(actor, value)` starts a call and returns its
    reference. Results come in the order of submission (get_next, map) or of completion
    (get_next_unordered, map_unordered); the two must not be mixed.
    """

    def __init__(self, actors: Iterable[Any]) -> None:
        self._idle = list(actors)
        self._running: dict[Any, tuple[int, Any]] = {}  # reference: index, actor
        self._by_index: dict[int, Any] = {}
        self._next_submit = 0
        self._next_return = 0
        self._waiting: list[tuple[Callable[..., Any], Any]] = []

    def map(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """Results in the order of `values`."""
        self._discard_results()
        for value in values:
            self.submit(fn, value)
        while self.has_next():
            yield self.get_next()

    def map_unordered(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """Results as they come."""
        self._discard_results()
        for value in values:
            self.submit(fn, value)
        while self.has_next():
            yield self.get_next_unordered()

    def _discard_results(self) -> None:
        while self.has_next():
            try:
                self.get_next_unordered(timeout=0)
            except TimeoutError:
                break

    def submit(self, fn: Callable[[Any, Any], Any], value: Any) -> None:
        """Starts fn(actor, value) on a free actor, or when one becomes free."""
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        ref = fn(actor, value)
        self._running[ref] = (self._next_submit, actor)
        self._by_index[self._next_submit] = ref
        self._next_submit += 1

    def has_next(self) -> bool:
        """Whether results are still to come."""
        return bool(self._running)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The next result in order. StopIteration when there is none, TimeoutError after `timeout` s;
        with ignore_if_timedout the result that is late is skipped for good."""
        if not self.has_next():
            raise StopIteration("No more results to get")
        ref = self._by_index.get(self._next_return)
        if ref is None:
            raise ValueError("It is not allowed to call get_next() after get_next_unordered().")
        if timeout is not None and not ray.wait([ref], timeout=timeout)[0]:
            if not ignore_if_timedout:
                raise TimeoutError("Timed out waiting for result")
            self._finish(ref)
            raise TimeoutError("Timed out waiting for result: it was skipped")
        self._finish(ref)
        return ray.get(ref)

    def get_next_unordered(
        self, timeout: float | None = None, ignore_if_timedout: bool = False
    ) -> Any:
        """Whichever result comes next."""
        if not self.has_next():
            raise StopIteration("No more results to get")
        ready, _ = ray.wait(list(self._running), num_returns=1, timeout=timeout)
        if not ready:
            raise TimeoutError("Timed out waiting for result")
        self._finish(ready[0])
        return ray.get(ready[0])

    def _finish(self, ref: Any) -> None:
        index, actor = self._running.pop(ref)
        del self._by_index[index]
        self._next_return = max(self._next_return, index + 1)
        self._give_back(actor)

    def _give_back(self, actor: Any) -> None:
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.pop(0))

    def has_free(self) -> bool:
        """Whether an actor is idle and nothing waits."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Any:
        """Takes an idle actor out of the pool; None if there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: Any) -> None:
        """Adds an actor. ValueError if it is in the pool already."""
        busy = [running for _, running in self._running.values()]
        if actor in self._idle or actor in busy:
            raise ValueError("Actor already belongs to current ActorPool")
        self._give_back(actor)
