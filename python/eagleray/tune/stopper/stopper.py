"""Stoppers: when a trial, or the experiment, has run enough. Follows `ray.tune.stopper`."""

from __future__ import annotations

import datetime
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from ..result import AUTO_FIELDS, TRAINING_ITERATION
from ..utils.flatten import lookup

_logger = logging.getLogger("eagleray.tune")


class Stopper:
    """Subclasses define `__call__` and `stop_all`."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether this trial ends with this result."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__(trial_id, result)")

    def stop_all(self) -> bool:
        """Whether the experiment ends now."""
        raise NotImplementedError(f"{type(self).__name__} has no stop_all()")


class NoopStopper(Stopper):
    """Never."""

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return False


class FunctionStopper(Stopper):
    """What `function(trial_id, result)` says."""

    def __init__(self, function: Callable[[str, dict[str, Any]], bool]) -> None:
        if not callable(function):
            raise ValueError(
                f"a stopping criterion must be callable, not {type(function).__name__}"
            )
        self._function = function

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return bool(self._function(trial_id, result))

    def stop_all(self) -> bool:
        return False

    @classmethod
    def is_valid_function(cls, function: Any) -> bool:
        return callable(function) and not isinstance(function, Stopper)


class DictStopper(Stopper):
    """A trial ends when one of the metrics has reached its value (`>=`). That a result lacks a metric is said once, as in
    Ray: it may come later."""

    def __init__(self, criteria: dict[str, Any]) -> None:
        self._criteria = {}
        self._missed: set[str] = set()
        for name, value in criteria.items():
            if isinstance(value, dict):
                for inner, threshold in value.items():
                    self._criteria[f"{name}/{inner}"] = threshold
            else:
                self._criteria[name] = value

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        for name, threshold in self._criteria.items():
            value = lookup(result, name)
            if value is None:
                self._say_missing(name, result)
            elif value >= threshold:
                return True
        return False

    def _say_missing(self, name: str, result: dict[str, Any]) -> None:
        if name not in self._missed:
            self._missed.add(name)
            _logger.warning(
                "stop asks for %r, which a result of a trial has not: as long as no result has it, it ends nothing. "
                "The result has: %s",
                name,
                ", ".join(sorted(map(str, set(result) - AUTO_FIELDS | {TRAINING_ITERATION}))),
            )

    def stop_all(self) -> bool:
        return False


class CombinedStopper(Stopper):
    """As soon as one of some stoppers says so."""

    def __init__(self, *stoppers: Stopper) -> None:
        self._stoppers = stoppers

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return any([stopper(trial_id, result) for stopper in self._stoppers])

    def stop_all(self) -> bool:
        return any(stopper.stop_all() for stopper in self._stoppers)


class MaximumIterationStopper(Stopper):
    """A trial ends after so many results."""

    def __init__(self, max_iter: int) -> None:
        self._max_iter = max_iter
        self._count: dict[str, int] = defaultdict(int)

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self._count[trial_id] += 1
        return self._count[trial_id] >= self._max_iter

    def stop_all(self) -> bool:
        return False


class TimeoutStopper(Stopper):
    """The experiment ends after so much time, in seconds or as a timedelta, counted from its first result or start."""

    def __init__(self, timeout: float | datetime.timedelta) -> None:
        if isinstance(timeout, datetime.timedelta):
            timeout = timeout.total_seconds()
        if not isinstance(timeout, int | float):
            raise ValueError(
                f"a time (time_budget_s) is a number of seconds or a timedelta, not {timeout!r}"
            )
        seconds = float(timeout)
        if seconds <= 0:
            raise ValueError(f"the time must be positive, not {seconds} s")
        self._seconds = seconds
        self._until: float | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self._until is None:
            self._until = time.monotonic() + self._seconds
        return time.monotonic() >= self._until

    def __getstate__(self) -> dict[str, Any]:
        left = self._seconds if self._until is None else max(0.0, self._until - time.monotonic())
        return {"_seconds": left, "_until": None}


class TrialPlateauStopper(Stopper):
    """A trial ends when its metric no longer moves.

    std: the standard deviation of the last `num_results` values under which it stands still; grace_period: results
    before it is looked at; metric_threshold with mode "min" or "max": only when the metric is at most, or at
    least, so much.
    """

    def __init__(
        self,
        metric: str,
        std: float = 0.01,
        num_results: int = 4,
        grace_period: int = 4,
        metric_threshold: float | None = None,
        mode: str | None = None,
    ) -> None:
        if metric_threshold is not None and mode not in ("min", "max"):
            raise ValueError("metric_threshold needs mode='min' or mode='max'")
        self._metric, self._std, self._mode = metric, std, mode
        self._num_results, self._grace_period, self._threshold = (
            num_results,
            grace_period,
            metric_threshold,
        )
        self._count: dict[str, int] = defaultdict(int)
        self._values: dict[str, deque[float]] = {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        value = lookup(result, self._metric)
        if value is None:
            return False
        self._count[trial_id] += 1
        values = self._values.setdefault(trial_id, deque(maxlen=self._num_results))
        values.append(value)
        if self._count[trial_id] < self._grace_period or len(values) < self._num_results:
            return False
        if self._threshold is not None and (
            value > self._threshold if self._mode == "min" else value < self._threshold
        ):
            return False
        return _deviation(values) < self._std

    def stop_all(self) -> bool:
        return False


class ExperimentPlateauStopper(Stopper):
    """The experiment ends when the `top` best values no longer get better.

    std: their standard deviation under which they stand still; patience: results in a row for which that holds.
    """

    def __init__(
        self, metric: str, std: float = 0.001, top: int = 10, mode: str = "min", patience: int = 0
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', not {mode!r}")
        if top <= 1:
            raise ValueError(f"top must be at least 2, not {top}")
        if patience < 0:
            raise ValueError(f"patience must not be negative, not {patience}")
        if std <= 0:
            raise ValueError(f"std must be positive, not {std}")
        self._metric, self._std, self._top, self._mode, self._patience = (
            metric,
            std,
            top,
            mode,
            patience,
        )
        self._still = 0
        self._best: list[float] = []

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        value = lookup(result, self._metric)
        if value is None:
            return False
        self._best = sorted([*self._best, value], reverse=self._mode == "max")[: self._top]
        stands = len(self._best) == self._top and _deviation(self._best) <= self._std
        self._still = self._still + 1 if stands else 0
        return self._over()

    def _over(self) -> bool:
        return self._still > self._patience

    def stop_all(self) -> bool:
        return self._over()


def _deviation(values: Any) -> float:
    mean = sum(values) / len(values)
    return float((sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5)


def as_stopper(stop: Any, seconds: Any = None) -> Stopper:
    """What tune.run(stop=, time_budget_s=) means, as one stopper. ValueError for what is no criterion."""
    parts: list[Stopper] = []
    for one in stop if isinstance(stop, (list, tuple)) else [stop]:
        if one is None or one == {}:
            continue
        if isinstance(one, Stopper):
            parts.append(one)
        elif isinstance(one, dict):
            parts.append(DictStopper(one))
        elif callable(one):
            parts.append(FunctionStopper(one))
        else:
            raise ValueError(
                f"stop must be a dict, a function or a Stopper, not {type(one).__name__}: {one!r}"
            )
    if seconds is not None:
        parts.append(TimeoutStopper(seconds))
    if not parts:
        return NoopStopper()
    return parts[0] if len(parts) == 1 else CombinedStopper(*parts)
