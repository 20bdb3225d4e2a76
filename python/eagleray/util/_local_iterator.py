"""LocalIterator: a lazy chain of stages over one stream of items."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import eagleray as ray

from .iter_metrics import MetricsContext, SharedMetrics

T = TypeVar("T")
Stage = Callable[[Iterator[Any]], Iterator[Any]]
PULLS_MAX = 100  # of an iterator with the weight "*" in a union, in one round


class _NextValueNotReady(Exception):
    """In a stream: nothing is there yet. Stages pass it on."""


_current = threading.local()


class LocalIterator(Generic[T]):
    """Items of one stream, with the stages of ParallelIterator applied in this process. It can be pickled until
    it is read; one process at a time may read it.

    base_iterator(timeout) starts the stream. With a timeout in seconds it gives _NextValueNotReady where it
    would wait longer.
    """

    def __init__(
        self,
        base_iterator: Callable[..., Iterable[Any]],
        shared_metrics: SharedMetrics,
        local_transforms: list[Stage] | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None:
        self.base_iterator = base_iterator
        self.built_iterator: Iterator[Any] | None = None
        self.local_transforms = local_transforms or []
        self.shared_metrics = shared_metrics
        self.timeout = timeout
        self.name = name or "unknown"

    @staticmethod
    def get_metrics() -> MetricsContext:
        """The figures of the iterator whose function runs. ValueError outside of one."""
        metrics: MetricsContext | None = getattr(_current, "metrics", None)
        if metrics is None:
            raise ValueError("Cannot access context outside an iterator.")
        return metrics

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        _current.metrics = self.shared_metrics.get()
        return function(*args)

    def _built(self) -> Iterator[Any]:
        if self.built_iterator is None:
            stream = iter(self.base_iterator(self.timeout))
            for stage in self.local_transforms:
                stream = iter(stage(stream))
            self.built_iterator = stream
        return self.built_iterator

    def __iter__(self) -> Iterator[T]:
        return self._built()

    def __next__(self) -> T:
        item: T = next(self._built())
        return item

    def __repr__(self) -> str:
        return f"LocalIterator[{self.name}]"

    __str__ = __repr__

    def _then(self, stage: Stage, name: str) -> LocalIterator[Any]:
        return LocalIterator(
            self.base_iterator,
            self.shared_metrics,
            [*self.local_transforms, stage],
            name=self.name + name,
        )

    # ---- stages ----

    def transform(self, fn: Callable[[Iterable[T]], Iterable[Any]]) -> LocalIterator[Any]:
        """fn(stream) makes the new stream; it must pass on _NextValueNotReady."""

        def stage(stream: Iterator[Any]) -> Iterator[Any]:
            yield from fn(stream)

        return self._then(stage, ".transform()")

    def for_each(
        self,
        fn: Callable[[T], Any],
        max_concurrency: int = 1,
        resources: dict[str, Any] | None = None,
    ) -> LocalIterator[Any]:
        """fn(item) for each. With max_concurrency other than 1 as tasks with `resources` (options of remote
        functions), so many at once (0: no limit), in the order in which they end. If fn gives
        _NextValueNotReady it is called again with the same item. fn._on_fetch_start(), if there, is called
        before each item is fetched."""

        def here(stream: Iterator[Any]) -> Iterator[Any]:
            for item in stream:
                if isinstance(item, _NextValueNotReady):
                    yield item
                    continue
                result: Any = None
                while True:
                    result = self._call(fn, item)
                    yield result
                    if not isinstance(result, _NextValueNotReady):
                        break

        def in_tasks(stream: Iterator[Any]) -> Iterator[Any]:
            start = ray.remote(fn).options(**(resources or {})).remote
            running: list[Any] = []
            for item in stream:
                if isinstance(item, _NextValueNotReady):
                    yield item
                    continue
                if max_concurrency and len(running) >= max_concurrency:
                    ended, running = ray.wait(running)
                    yield from ray.get(ended)
                running.append(start(item))
            while running:
                ended, running = ray.wait(running)
                yield from ray.get(ended)

        stage: Stage = here if max_concurrency == 1 else in_tasks
        if hasattr(fn, "_on_fetch_start"):
            stage = self._told_of_fetches(stage, fn)
        return self._then(stage, ".for_each()")

    def _told_of_fetches(self, inner: Stage, fn: Any) -> Stage:
        def stage(stream: Iterator[Any]) -> Iterator[Any]:
            items = inner(stream)
            while True:
                self._call(fn._on_fetch_start)
                for item in items:
                    yield item
                    if not isinstance(item, _NextValueNotReady):
                        break
                else:
                    return

        return stage

    def filter(self, fn: Callable[[T], bool]) -> LocalIterator[T]:
        """The items for which fn(item) is true."""

        def stage(stream: Iterator[Any]) -> Iterator[Any]:
            for item in stream:
                if isinstance(item, _NextValueNotReady) or self._call(fn, item):
                    yield item

        return self._then(stage, ".filter()")

    def batch(self, n: int) -> LocalIterator[list[T]]:
        """Lists of n items; the last may be shorter."""

        def stage(stream: Iterator[Any]) -> Iterator[Any]:
            batch: list[Any] = []
            for item in stream:
                if isinstance(item, _NextValueNotReady):
                    yield item
                    continue
                batch.append(item)
                if len(batch) >= n:
                    yield batch
                    batch = []
            if batch:
                yield batch

        return self._then(stage, f".batch({n})")

    def flatten(self) -> LocalIterator[Any]:
        """The items of the items."""

        def stage(stream: Iterator[Any]) -> Iterator[Any]:
            for item in stream:
                if isinstance(item, _NextValueNotReady):
                    yield item
                else:
                    yield from item

        return self._then(stage, ".flatten()")

    def shuffle(self, shuffle_buffer_size: int, seed: int | None = None) -> LocalIterator[T]:
        """In an order drawn from a buffer of so many items."""
        draw = random.Random(seed)

        def stage(stream: Iterator[Any]) -> Iterator[Any]:
            buffer: list[Any] = []
            for item in stream:
                if isinstance(item, _NextValueNotReady):
                    yield item
                    continue
                buffer.append(item)
                if len(buffer) >= shuffle_buffer_size:
                    yield buffer.pop(draw.randint(0, len(buffer) - 1))
            while buffer:
                yield buffer.pop(draw.randint(0, len(buffer) - 1))

        said = f".shuffle(shuffle_buffer_size={shuffle_buffer_size}, seed={seed})"
        return self._then(stage, said)

    def combine(self, fn: Callable[[T], list[Any]]) -> LocalIterator[Any]:
        """for_each(fn).flatten()"""
        combined = self.for_each(fn).flatten()
        combined.name = self.name + ".combine()"
        return combined

    def zip_with_source_actor(self) -> LocalIterator[tuple[Any, T]]:
        """(actor, item): which actor it came from, after gather_async()."""

        def with_source(item: Any) -> tuple[Any, Any]:
            actor = LocalIterator.get_metrics().current_actor
            if actor is None:
                raise ValueError("Could not identify source actor of item")
            return actor, item

        zipped = self.for_each(with_source)
        zipped.name = self.name + ".zip_with_source_actor()"
        return zipped

    # ---- ends ----

    def take(self, n: int) -> list[T]:
        """The next n items, or as many as there are."""
        taken: list[T] = []
        for item in self:
            taken.append(item)
            if len(taken) >= n:
                break
        return taken

    def show(self, n: int = 20) -> None:
        """Prints the next n items."""
        for item in self.take(n):
            print(item)

    # ---- several ----

    def duplicate(self, n: int) -> list[LocalIterator[T]]:
        """n iterators that give each of these items. One that is ahead of the others gives
        _NextValueNotReady, so that little is buffered."""
        if n < 2:
            raise ValueError("Number of copies must be >= 2")
        buffers: list[deque[Any]] = [deque() for _ in range(n)]

        def copy(mine: deque[Any]) -> Callable[[float | None], Iterator[Any]]:
            def stream(timeout: float | None = None) -> Iterator[Any]:
                while True:
                    if len(mine) < max(map(len, buffers)):
                        yield _NextValueNotReady()
                        continue
                    if not mine:
                        self.timeout = timeout
                        try:
                            item = next(self)
                        except StopIteration:
                            return
                        for buffer in buffers:
                            buffer.append(item)
                    yield mine.popleft()

            return stream

        return [
            LocalIterator(copy(buffer), self.shared_metrics, [], name=f"{self.name}.duplicate[{i}]")
            for i, buffer in enumerate(buffers)
        ]

    def union(
        self,
        *others: LocalIterator[T],
        deterministic: bool = False,
        round_robin_weights: list[Any] | None = None,
    ) -> LocalIterator[T]:
        """The items of all. In rounds of one each; whoever has none ready is passed over, unless
        `deterministic`. round_robin_weights: how many of each a round, on average; "*": all that are ready."""
        for other in others:
            if not isinstance(other, LocalIterator):
                raise ValueError(f"other must be of type LocalIterator, got {type(other)}")
        parents = [self, *others]
        weights = round_robin_weights or [1] * len(parents)
        if len(weights) != len(parents):
            raise ValueError("Length of round robin weights must equal number of iterators total.")
        shared = SharedMetrics(parents=[parent.shared_metrics for parent in parents])

        def patience(weight: Any) -> float | None:
            if round_robin_weights:
                return 0 if weight == "*" else None
            return None if deterministic else 0

        active: list[tuple[Any, LocalIterator[Any]]] = [
            (
                weight,
                LocalIterator(p.base_iterator, shared, p.local_transforms, patience(weight)),
            )
            for weight, p in zip(weights, parents, strict=True)
        ]

        def stream(timeout: float | None = None) -> Iterator[Any]:
            while active:
                for each in list(active):
                    for _ in range(_pulls(each[0])):
                        try:
                            item: Any = next(each[1])
                        except StopIteration:
                            active.remove(each)
                            break
                        waits = isinstance(item, _NextValueNotReady)
                        if not waits or timeout is not None:
                            yield item
                        if waits:
                            break

        name = f"LocalUnion[{', '.join(map(str, parents))}]"
        return LocalIterator(stream, shared, [], name=name)


def _pulls(weight: Any) -> int:
    """A whole number that is `weight` on average."""
    if weight == "*":
        return PULLS_MAX
    whole = int(weight)
    return whole + int(random.random() < weight - whole)
