"""The median stopping rule (Golovin et al., 2017). Follows `ray.tune.schedulers.MedianStoppingRule`.

A trial stops when its best result so far is worse than the median, over the other trials, of their mean results up to
the same time.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from typing import Any

from .metric_scheduler import WORST, MetricScheduler
from .trial_scheduler import TrialScheduler


class MedianStoppingRule(MetricScheduler):
    """Stops what is worse than half of the others.

    grace_period: none is stopped before (in units of time_attr). min_samples_required: so many others must have come
    as far; until then, if trials wait, a trial yields to them after min_time_slice. hard_stop: trials are stopped,
    else only paused, until nothing better waits. A result costs a look at every trial that has come as far.
    """

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        grace_period: float = 60.0,
        min_samples_required: int = 3,
        min_time_slice: float = 0,
        hard_stop: bool = True,
    ) -> None:
        super().__init__(time_attr, metric, mode)
        self._grace, self._samples = grace_period, min_samples_required
        self._slice, self._hard_stop = min_time_slice, hard_stop
        self._history: dict[str, _History] = {}  # by trial id
        self._halted: set[str] = set()
        self._yielded_at: dict[str, float] = {}

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        self.require_metric()

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        time, score = self.time_of(result), self.score_of(result)
        if time is None or score is None:
            return TrialScheduler.CONTINUE
        key = trial.trial_id
        if key in self._halted:  # it was paused, and goes on since nothing better waits
            return TrialScheduler.CONTINUE
        own = self._history.setdefault(key, _History())
        own.add(time, score, time >= self._grace)
        if time < self._grace:
            return TrialScheduler.CONTINUE
        others = [
            history
            for other, history in self._history.items()
            if history.times[-1] >= time and other != key
        ]
        if len(others) < self._samples:
            return self._yield(controller, key, time)
        if own.best >= statistics.median(history.mean_until(time) for history in others):
            return TrialScheduler.CONTINUE
        self._halted.add(key)
        return TrialScheduler.STOP if self._hard_stop else TrialScheduler.PAUSE

    def _yield(self, controller: Any, trial_id: str, time: float) -> str:
        """Lets another trial run, so that there will be enough to compare with."""
        waits = any(True for _ in controller.pending_trials()) or any(
            True for _ in controller.paused_trials()
        )
        if not waits or time - self._yielded_at.get(trial_id, WORST) <= self._slice:
            return TrialScheduler.CONTINUE
        self._yielded_at[trial_id] = time
        return TrialScheduler.PAUSE

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        time, score = self.time_of(result), self.score_of(result)
        if time is not None and score is not None:
            own = self._history.setdefault(trial.trial_id, _History())
            if not own.times or time > own.times[-1]:
                own.add(time, score, time >= self._grace)

    def debug_string(self) -> str:
        return f"Using MedianStoppingRule: num_stopped={len(self._halted)}."


class _History:
    """What a trial has reported: times, and sums of its scores since the grace period. NaNs make no mean."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._sums: list[float] = []
        self._counts: list[int] = []
        self.best = WORST

    def add(self, time: float, score: float, counts: bool) -> None:
        while self.times and self.times[-1] >= time:  # it has fallen back to a checkpoint
            del self.times[-1], self._sums[-1], self._counts[-1]
        before, number = (self._sums[-1], self._counts[-1]) if self.times else (0.0, 0)
        self.times.append(time)
        self._sums.append(before + (score if counts else 0.0))
        self._counts.append(number + counts)
        self.best = max(self.best, score)

    def mean_until(self, time: float) -> float:
        place = bisect_right(self.times, time) - 1
        if place < 0 or not self._counts[place]:
            return WORST
        return self._sums[place] / self._counts[place]
