"""Parallel iterators: streams of items that actors hold, one a shard, and stages that run there. Ray calls
these deprecated and keeps them; new programs use tasks, generators or ActorPool."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import eagleray as ray

from ._local_iterator import LocalIterator, _NextValueNotReady
from .iter_metrics import MetricsContext, SharedMetrics

__all__ = [
    "LocalIterator",
    "MetricsContext",
    "ParallelIterator",
    "ParallelIteratorWorker",
    "SharedMetrics",
    "from_actors",
    "from_items",
    "from_iterators",
    "from_range",
]
T = TypeVar("T")


def from_items(items: list[T], num_shards: int = 2, repeat: bool = False) -> ParallelIterator[T]:
    """Over `items`, dealt out to the shards in turn; with `repeat` again and again."""
    kind = type(items[0]).__name__ if items else "None"
    again = ", repeat=True" if repeat else ""
    return from_iterators(
        [items[i::num_shards] for i in range(num_shards)],
        repeat=repeat,
        name=f"from_items[{kind}, {len(items)}, shards={num_shards}{again}]",
    )


def from_range(n: int, num_shards: int = 2, repeat: bool = False) -> ParallelIterator[int]:
    """Over 0 to n - 1, a stretch a shard; the last takes what is over."""
    size = n // num_shards
    ends = [size * (i + 1) for i in range(num_shards - 1)] + [n]
    again = ", repeat=True" if repeat else ""
    return from_iterators(
        [range(size * i, end) for i, end in enumerate(ends)],
        repeat=repeat,
        name=f"from_range[{n}, shards={num_shards}{again}]",
    )


def from_iterators(
    generators: list[Any], repeat: bool = False, name: str | None = None
) -> ParallelIterator[Any]:
    """An actor for each of `generators`: an iterable, or a function that makes one (generators cannot be
    pickled; what makes them can)."""
    worker = ray.remote(ParallelIteratorWorker)
    again = ", repeat=True" if repeat else ""
    return from_actors(
        [worker.remote(each, repeat) for each in generators],
        name or f"from_iterators[shards={len(generators)}{again}]",
    )


def from_actors(actors: list[Any], name: str | None = None) -> ParallelIterator[Any]:
    """Over actors whose class inherits from ParallelIteratorWorker."""
    named = name or f"from_actors[shards={len(actors)}]"
    return ParallelIterator([_ActorSet(actors, [])], named, parent_iterators=[])


class _ActorSet:
    """Shards that have the same stages."""

    def __init__(self, actors: list[Any], transforms: list[Callable[..., Any]]) -> None:
        self.actors = actors
        self.transforms = transforms

    def init_actors(self) -> list[Any]:
        ray.get([actor.par_iter_init.remote(self.transforms) for actor in self.actors])
        return self.actors

    def with_transform(self, fn: Callable[..., Any]) -> _ActorSet:
        return _ActorSet(self.actors, [*self.transforms, fn])


def _as_they_come(
    calls: list[tuple[Any, Callable[[], Any]]],
    timeout: float | None,
    take: Callable[[Any], None] = lambda key: None,
) -> Iterator[Any]:
    """Items of the batches that calls give until each raises StopIteration. `calls` are keys and what starts
    the next call; take(key) is told whose batch comes next."""
    running = {start(): (key, start) for key, start in calls}
    while running:
        pending = list(running)
        if timeout is None:
            ready, _ = ray.wait(pending, num_returns=len(pending), timeout=0)
            if not ready:
                ready, _ = ray.wait(pending, num_returns=1)
        else:
            ready, _ = ray.wait(pending, num_returns=len(pending), timeout=timeout)
        for ref in ready:
            key, start = running.pop(ref)
            take(key)
            try:
                batch = ray.get(ref)
            except StopIteration:
                continue
            running[start()] = (key, start)
            yield from batch
        if timeout is not None:
            yield _NextValueNotReady()


def _check_depth(batch_ms: int, num_async: int) -> None:
    if num_async < 1:
        raise ValueError("queue depth must be positive")
    if batch_ms < 0:
        raise ValueError("batch time must be positive")


class ParallelIterator(Generic[T]):
    """Items that actors hold, a stream a shard. Stages (for_each, filter, batch, ...) are lazy and run in the
    actors; gather_sync(), gather_async() and shards() bring the items here. It can be pickled; each shard is
    read by one process at a time."""

    def __init__(
        self,
        actor_sets: list[_ActorSet],
        name: str,
        parent_iterators: list[ParallelIterator[Any]],
    ) -> None:
        self.actor_sets = actor_sets
        self.name = name
        self.parent_iterators = parent_iterators  # keeps their actors alive

    def __iter__(self) -> Iterator[T]:
        raise TypeError(
            "You must use it.gather_sync() or it.gather_async() to iterate over the results of a "
            "ParallelIterator."
        )

    def __repr__(self) -> str:
        return f"ParallelIterator[{self.name}]"

    __str__ = __repr__

    def _then(self, fn: Callable[[LocalIterator[Any]], Any], name: str) -> ParallelIterator[Any]:
        sets = [each.with_transform(fn) for each in self.actor_sets]
        return ParallelIterator(sets, self.name + name, self.parent_iterators)

    # ---- stages, run in the actors; see LocalIterator ----

    def transform(self, fn: Callable[[Iterable[T]], Iterable[Any]]) -> ParallelIterator[Any]:
        """fn(stream) makes each shard's new stream."""
        return self._then(lambda it: it.transform(fn), ".transform()")

    def for_each(
        self,
        fn: Callable[[T], Any],
        max_concurrency: int = 1,
        resources: dict[str, Any] | None = None,
    ) -> ParallelIterator[Any]:
        """fn(item) for each; with max_concurrency other than 1 in so many tasks a shard (0: no limit)."""
        assert max_concurrency >= 0, "max_concurrency must be non-negative."
        return self._then(lambda it: it.for_each(fn, max_concurrency, resources), ".for_each()")

    def filter(self, fn: Callable[[T], bool]) -> ParallelIterator[T]:
        """The items for which fn(item) is true."""
        return self._then(lambda it: it.filter(fn), ".filter()")

    def batch(self, n: int) -> ParallelIterator[list[T]]:
        """Lists of n items of a shard."""
        return self._then(lambda it: it.batch(n), f".batch({n})")

    def flatten(self) -> ParallelIterator[Any]:
        """The items of the items."""
        return self._then(lambda it: it.flatten(), ".flatten()")

    def combine(self, fn: Callable[[T], list[Any]]) -> ParallelIterator[Any]:
        """for_each(fn).flatten()"""
        combined = self.for_each(fn).flatten()
        combined.name = self.name + ".combine()"
        return combined

    def local_shuffle(
        self, shuffle_buffer_size: int, seed: int | None = None
    ) -> ParallelIterator[T]:
        """Each shard in an order drawn from a buffer of so many items."""
        said = f".local_shuffle(shuffle_buffer_size={shuffle_buffer_size}, seed={seed})"
        return self._then(lambda it: it.shuffle(shuffle_buffer_size, seed), said)

    def repartition(self, num_partitions: int, batch_ms: int = 0) -> ParallelIterator[T]:
        """The same items in num_partitions shards, dealt out in turn. The new actors fetch from the old,
        what comes within batch_ms milliseconds at once."""
        actors = [actor for each in self.actor_sets for actor in each.init_actors()]

        def part(index: int) -> Callable[[], Iterator[Any]]:
            def fetch(actor: Any) -> Callable[[], Any]:
                return lambda: actor.par_iter_slice_batch.remote(
                    step=num_partitions, start=index, batch_ms=batch_ms
                )

            return lambda: _as_they_come([(actor, fetch(actor)) for actor in actors], None)

        worker = ray.remote(ParallelIteratorWorker)
        made = [worker.remote(part(i), repeat=False) for i in range(num_partitions)]
        name = f"{self.name}.repartition[num_partitions={num_partitions}]"
        return ParallelIterator([_ActorSet(made, [])], name, parent_iterators=[self])

    # ---- to here ----

    def gather_sync(self) -> LocalIterator[T]:
        """Items of the shards in turn: one of each before the next of the first."""
        gathered = self.batch_across_shards().flatten()
        gathered.name = f"{self}.gather_sync()"
        return gathered

    def batch_across_shards(self) -> LocalIterator[list[T]]:
        """Lists of one item of each shard; shorter when some have ended."""

        def stream(timeout: float | None = None) -> Iterator[Any]:
            active = [actor for each in self.actor_sets for actor in each.init_actors()]
            while active:
                refs = [actor.par_iter_next.remote() for actor in active]
                while True:
                    try:
                        ray.get(refs, timeout=timeout)
                    except StopIteration:
                        pass
                    except TimeoutError:
                        yield _NextValueNotReady()
                        continue
                    break
                results = []
                for actor, ref in zip(list(active), refs, strict=True):
                    try:
                        results.append(ray.get(ref))
                    except StopIteration:
                        active.remove(actor)
                if results:
                    yield results
                if timeout is not None and active:
                    yield _NextValueNotReady()

        return LocalIterator(stream, SharedMetrics(), name=f"{self}.batch_across_shards()")

    def gather_async(self, batch_ms: int = 0, num_async: int = 1) -> LocalIterator[T]:
        """Items as they come. Each shard has num_async requests in flight, each for what it has within
        batch_ms milliseconds (0: one item)."""
        _check_depth(batch_ms, num_async)
        gathered: LocalIterator[T]

        def stream(timeout: float | None = None) -> Iterator[Any]:
            def fetch(actor: Any) -> Callable[[], Any]:
                return lambda: actor.par_iter_next_batch.remote(batch_ms)

            def take(actor: Any) -> None:
                gathered.shared_metrics.get().current_actor = actor

            actors = [actor for each in self.actor_sets for actor in each.init_actors()]
            calls = [(actor, fetch(actor)) for _ in range(num_async) for actor in actors]
            return _as_they_come(calls, timeout, take)

        gathered = LocalIterator(stream, SharedMetrics(), name=f"{self}.gather_async()")
        return gathered

    def take(self, n: int) -> list[T]:
        """The next n items of gather_sync()."""
        return self.gather_sync().take(n)

    def show(self, n: int = 20) -> None:
        """Prints the next n items."""
        self.gather_sync().show(n)

    # ---- shards ----

    def union(self, other: ParallelIterator[T]) -> ParallelIterator[T]:
        """The shards of both. TypeError for what is no ParallelIterator."""
        if not isinstance(other, ParallelIterator):
            raise TypeError(f"other must be of type ParallelIterator, got {type(other)}")
        return ParallelIterator(
            self.actor_sets + other.actor_sets,
            f"ParallelUnion[{self}, {other}]",
            self.parent_iterators + other.parent_iterators,
        )

    def select_shards(self, shards_to_keep: list[int]) -> ParallelIterator[T]:
        """These shards only. ValueError after union() and for none."""
        if len(self.actor_sets) > 1:
            raise ValueError("select_shards() is not allowed after union()")
        if len(shards_to_keep) == 0:
            raise ValueError("at least one shard must be selected")
        of = self.actor_sets[0]
        kept = [actor for i, actor in enumerate(of.actors) if i in shards_to_keep]
        assert len(kept) == len(shards_to_keep), "Invalid actor index"
        name = f"{self}.select_shards({len(shards_to_keep)} total)"
        return ParallelIterator([_ActorSet(kept, of.transforms)], name, self.parent_iterators)

    def num_shards(self) -> int:
        """How many actors hold the items."""
        return sum(len(each.actors) for each in self.actor_sets)

    def shards(self) -> list[LocalIterator[T]]:
        """get_shard() of each."""
        return [self.get_shard(i) for i in range(self.num_shards())]

    def get_shard(
        self, shard_index: int, batch_ms: int = 0, num_async: int = 1
    ) -> LocalIterator[T]:
        """One shard's items, in their order; batch_ms and num_async as in gather_async(). ValueError for
        an index that is not there."""
        _check_depth(batch_ms, num_async)
        shards = [(actor, each.transforms) for each in self.actor_sets for actor in each.actors]
        if not 0 <= shard_index < len(shards):
            raise ValueError("Shard index out of range", shard_index, self.num_shards())
        actor, transforms = shards[shard_index]

        def stream(timeout: float | None = None) -> Iterator[Any]:
            ray.get(actor.par_iter_init.remote(transforms))
            flying = deque(actor.par_iter_next_batch.remote(batch_ms) for _ in range(num_async))
            while True:
                try:
                    batch = ray.get(flying[0], timeout=timeout)
                except TimeoutError:
                    yield _NextValueNotReady()
                    continue
                except StopIteration:
                    return
                flying.popleft()
                flying.append(actor.par_iter_next_batch.remote(batch_ms))
                yield from batch
                if timeout is not None:
                    yield _NextValueNotReady()

        return LocalIterator(stream, SharedMetrics(), name=f"{self.name}.shard[{shard_index}]")


class ParallelIteratorWorker:
    """The actor of a shard; classes given to from_actors() inherit from it.

    item_generator: an iterable, or a function that makes one. repeat: start again at its end.
    """

    def __init__(self, item_generator: Any, repeat: bool) -> None:
        def made() -> Any:
            return item_generator() if callable(item_generator) else item_generator

        def cycle() -> Iterator[Any]:
            while True:
                stream = iter(made())
                if stream is item_generator:
                    raise ValueError(
                        f"Cannot iterate over {item_generator} multiple times. Please pass in the base "
                        "iterable, or a function that makes it."
                    )
                yield from stream

        self.item_generator = cycle() if repeat else made()
        self.local_it: Iterator[Any] | None = None
        self._slices: dict[int, deque[Any]] = defaultdict(deque)

    def par_iter_init(self, transforms: list[Callable[..., Any]]) -> None:
        """Begins a reading with these stages."""
        stages: Any = LocalIterator(lambda timeout: self.item_generator, SharedMetrics())
        for fn in transforms:
            stages = fn(stages)
            assert stages is not None, fn
        self.local_it = iter(stages)
        self._slices.clear()

    def par_iter_next(self) -> Any:
        """The next item; StopIteration at the end."""
        assert self.local_it is not None, "must call par_iter_init()"
        return next(self.local_it)

    def par_iter_next_batch(self, batch_ms: int) -> list[Any]:
        """What comes within batch_ms milliseconds; one item for 0."""
        return _batch(self.par_iter_next, batch_ms)

    def par_iter_slice(self, step: int, start: int) -> Any:
        """The next of the items at start, start + step, start + 2 step..."""
        assert self.local_it is not None, "must call par_iter_init()"
        if not self._slices[start]:
            for index, item in zip(range(step), self.local_it, strict=False):
                self._slices[index].append(item)
        if not self._slices[start]:
            raise StopIteration
        return self._slices[start].popleft()

    def par_iter_slice_batch(self, step: int, start: int, batch_ms: int) -> list[Any]:
        """As par_iter_next_batch(), of par_iter_slice()."""
        return _batch(lambda: self.par_iter_slice(step, start), batch_ms)


def _batch(take: Callable[[], Any], batch_ms: int) -> list[Any]:
    batch = [take()]
    end = time.monotonic() + batch_ms / 1000
    while batch_ms and time.monotonic() < end:
        try:
            batch.append(take())
        except StopIteration:
            break
    return batch
