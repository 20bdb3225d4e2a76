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

    # Subclasses elsewhere, such as Flower's, use these attributes: their names are Ray's.
    def __init__(self, actors: Iterable[Any]) -> None:
        self._idle_actors = list(actors)
        self._future_to_actor: dict[Any, tuple[int, Any]] = {}  # reference: index, actor
        self._index_to_future: dict[int, Any] = {}
        self._next_task_index = 0
        self._next_return_index = 0
        self._pending_submits: list[tuple[Callable[..., Any], Any]] = []

    def map(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """Results in the order of `values`. Calls are submitted now; results that nobody took before are
        dropped at once, as by Ray, and their actors are free for the next."""
        while self.has_next():
            self._finish(next(iter(self._future_to_actor)))
        for value in values:
            self.submit(fn, value)
        return self._results(self.get_next)

    def map_unordered(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """As map(), with results as they come. As by Ray, what was submitted before is waited for and dropped."""
        while self.has_next():
            ready, _ = ray.wait(list(self._future_to_actor), num_returns=1)
            self._finish(ready[0])
        for value in values:
            self.submit(fn, value)
        return self._results(self.get_next_unordered)

    def _results(self, take: Callable[[], Any]) -> Iterator[Any]:
        while self.has_next():
            yield take()

    def submit(self, fn: Callable[[Any, Any], Any], value: Any) -> None:
        """Starts fn(actor, value) on a free actor, or when one becomes free."""
        if not self._idle_actors:
            self._pending_submits.append((fn, value))
            return
        actor = self._idle_actors.pop()
        ref = fn(actor, value)
        self._future_to_actor[ref] = (self._next_task_index, actor)
        self._index_to_future[self._next_task_index] = ref
        self._next_task_index += 1

    def has_next(self) -> bool:
        """Whether results are still to come."""
        return bool(self._future_to_actor)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The next result in order. StopIteration when there is none, TimeoutError after `timeout` s;
        with ignore_if_timedout the result that is late is skipped for good."""
        if not self.has_next():
            raise StopIteration("No more results to get")
        ref = self._index_to_future.get(self._next_return_index)
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
        ready, _ = ray.wait(list(self._future_to_actor), num_returns=1, timeout=timeout)
        if not ready:
            raise TimeoutError("Timed out waiting for result")
        self._finish(ready[0])
        return ray.get(ready[0])

    def _finish(self, ref: Any) -> None:
        index, actor = self._future_to_actor.pop(ref)
        del self._index_to_future[index]
        self._next_return_index = max(self._next_return_index, index + 1)
        self._return_actor(actor)

    def _return_actor(self, actor: Any) -> None:
        self._idle_actors.append(actor)
        if self._pending_submits:
            self.submit(*self._pending_submits.pop(0))

    def has_free(self) -> bool:
        """Whether an actor is idle and nothing waits."""
        return bool(self._idle_actors) and not self._pending_submits

    def pop_idle(self) -> Any:
        """Takes an idle actor out of the pool; None if there is none."""
        return self._idle_actors.pop() if self.has_free() else None

    def push(self, actor: Any) -> None:
        """Adds an actor. ValueError if it is in the pool already."""
        busy = [running for _, running in self._future_to_actor.values()]
        if actor in self._idle_actors or actor in busy:
            raise ValueError("Actor already belongs to current ActorPool")
        self._return_actor(actor)
