"""ASHA: successive halving that never waits (Li et al., 2018). Follows `ray.tune.schedulers.AsyncHyperBandScheduler`.

A bracket has rungs at grace_period * reduction_factor^k. A trial that reaches a rung goes on if it is among the best
1/reduction_factor of those that have reached it so far.
"""

from __future__ import annotations

import math
import random
from bisect import insort
from typing import Any

from .metric_scheduler import MetricScheduler
from .trial_scheduler import TrialScheduler


class AsyncHyperBandScheduler(MetricScheduler):
    """Stops trials early, each as soon as its own result says so.

    max_t: a trial stops there (in units of time_attr). grace_period: none is stopped before. reduction_factor: of
    those at a rung 1/reduction_factor go on. brackets: kinds of trials, each with its first rung one later; a trial's
    is drawn, in favour of those with more rungs. stop_last_trials: whether max_t is an end. ValueError: limits that
    contradict each other.
    """

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: float = 100,
        grace_period: float = 1,
        reduction_factor: float = 4,
        brackets: int = 1,
        stop_last_trials: bool = True,
    ) -> None:
        if not 0 < grace_period <= max_t:
            raise ValueError(f"needs 0 < grace_period ({grace_period}) <= max_t ({max_t})")
        if reduction_factor <= 1:
            raise ValueError(f"reduction_factor must be above 1, not {reduction_factor}")
        if brackets < 1:
            raise ValueError(f"brackets must be positive, not {brackets}")
        super().__init__(time_attr, metric, mode)
        self._max_t, self._factor, self._stop_last = max_t, reduction_factor, stop_last_trials
        self._brackets = [
            _Bracket(grace_period, max_t, reduction_factor, index, stop_last_trials)
            for index in range(brackets)
        ]
        self._bracket_of: dict[str, int] = {}  # by trial id
        self._stopped = 0

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        self.require_metric()
        if trial.trial_id not in self._bracket_of:
            sizes = [len(bracket.rungs) for bracket in self._brackets]
            weights = [math.exp(size - max(sizes)) for size in sizes]
            self._bracket_of[trial.trial_id] = random.choices(range(len(sizes)), weights)[0]

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        time, score = self.time_of(result), self.score_of(result)
        if time is None or score is None:
            return TrialScheduler.CONTINUE
        if time >= self._max_t and self._stop_last:
            good = False
        else:
            good = self._bracket(trial).on_result(trial.trial_id, time, score)
        if good:
            return TrialScheduler.CONTINUE
        self._stopped += 1
        return TrialScheduler.STOP

    def _bracket(self, trial: Any) -> _Bracket:
        return self._brackets[self._bracket_of[trial.trial_id]]

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        time, score = self.time_of(result), self.score_of(result)
        if time is not None and score is not None:
            self._bracket(trial).on_result(trial.trial_id, time, score)
        self._bracket_of.pop(trial.trial_id, None)

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        self._bracket_of.pop(trial.trial_id, None)

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        self._bracket_of.pop(trial.trial_id, None)

    def debug_string(self) -> str:
        sign = -1 if self._mode == "min" else 1
        lines = [bracket.describe(sign) for bracket in self._brackets]
        return "\n".join([f"Using AsyncHyperBand: num_stopped={self._stopped}", *lines])


class _Bracket:
    """Rungs, the last first: at a result a trial is entered into the highest that it has reached."""

    def __init__(
        self, grace: float, max_t: float, factor: float, index: int, stop_last: bool
    ) -> None:
        count = int(math.log(max_t / grace) / math.log(factor) - index + 1)
        self._factor, self._stop_last = factor, stop_last
        self.rungs = [_Rung(grace * factor ** (k + index)) for k in reversed(range(count))]

    def on_result(self, trial_id: str, time: float, score: float) -> bool:
        """Whether the trial goes on."""
        for rung in self.rungs:
            if time < rung.milestone:
                continue
            if trial_id in rung.trials:
                if self._stop_last:
                    continue
                return True
            cutoff = rung.cutoff(self._factor)
            rung.enter(trial_id, score)
            return cutoff is None or score >= cutoff
        return True

    def describe(self, sign: int) -> str:
        cutoffs = [(rung.milestone, rung.cutoff(self._factor)) for rung in self.rungs]
        said = (f"Iter {m:.3f}: {c if c is None else sign * c}" for m, c in cutoffs)
        return "Bracket: " + " | ".join(said)


class _Rung:
    """The scores of the trials that have come so far, sorted: a result costs the same however many there are."""

    def __init__(self, milestone: float) -> None:
        self.milestone = milestone
        self.trials: set[str] = set()
        self._scores: list[float] = []

    def enter(self, trial_id: str, score: float) -> None:
        self.trials.add(trial_id)
        insort(self._scores, score)

    def cutoff(self, factor: float) -> float | None:
        """The score that the best 1/factor have at least, between two neighbours by linear interpolation."""
        if not self._scores:
            return None
        place = (1 - 1 / factor) * (len(self._scores) - 1)
        below = math.floor(place)
        low, high = self._scores[below], self._scores[min(below + 1, len(self._scores) - 1)]
        share = place - below
        if math.isinf(low) or math.isinf(high) or not share:
            return low
        # From the nearer end, so that equal neighbours give exactly their value.
        return high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share


ASHAScheduler = AsyncHyperBandScheduler
