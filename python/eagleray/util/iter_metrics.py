"""Figures that the stages of a parallel iterator share."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from typing import Any


class Timer:
    """A context manager that times its block; `mean` is over the last ten, in seconds."""

    def __init__(self, window_size: int = 10) -> None:
        self._seconds: deque[float] = deque(maxlen=window_size)
        self._units: deque[float] = deque(maxlen=window_size)
        self._began: float | None = None
        self.count = 0

    def __enter__(self) -> Timer:
        assert self._began is None, "concurrent updates not supported"
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._began is not None
        self.push(time.perf_counter() - self._began)
        self._began = None

    def push(self, seconds: float) -> None:
        self._seconds.append(seconds)
        self.count += 1

    def push_units_processed(self, units: float) -> None:
        self._units.append(units)

    def has_units_processed(self) -> bool:
        return bool(self._units)

    @property
    def mean(self) -> float:
        return sum(self._seconds) / len(self._seconds) if self._seconds else 0.0

    @property
    def mean_units_processed(self) -> float:
        return sum(self._units) / len(self._units) if self._units else 0.0

    @property
    def mean_throughput(self) -> float:
        """Units a second; 0 before anything was timed."""
        seconds = sum(self._seconds)
        return sum(self._units) / seconds if seconds else 0.0


class MetricsContext:
    """What LocalIterator.get_metrics() gives: counters, timers, info, and the actor that the current item of
    gather_async() came from."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = defaultdict(int)
        self.timers: dict[str, Timer] = defaultdict(Timer)
        self.info: dict[str, Any] = {}
        self.current_actor: Any = None

    def save(self) -> dict[str, Any]:
        """A copy that can be pickled, without the timers."""
        return {"counters": dict(self.counters), "info": dict(self.info), "timers": None}

    def restore(self, values: dict[str, Any]) -> None:
        """What save() gave."""
        self.counters.clear()
        self.counters.update(values["counters"])
        self.timers.clear()
        self.info = values["info"]


class SharedMetrics:
    """A place that several iterators look into: union() makes their contexts one."""

    def __init__(
        self, metrics: MetricsContext | None = None, parents: list[SharedMetrics] | None = None
    ) -> None:
        self.parents = parents or []
        self.metrics = metrics or MetricsContext()
        self.set(self.metrics)

    def set(self, metrics: MetricsContext) -> None:
        self.metrics = metrics
        for parent in self.parents:
            parent.set(metrics)

    def get(self) -> MetricsContext:
        return self.metrics
