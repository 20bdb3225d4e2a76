"""HyperBand: successive halving in brackets, in step (Li et al., 2016). Follows `ray.tune.schedulers.HyperBandScheduler`.

A bracket takes a number of trials; when all that live in it have reached its milestone, the best 1/reduction_factor go
on to the next one and the others stop. The brackets of a band trade the number of trials against how long the first
milestone is; when a band is full the next begins.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from .metric_scheduler import WORST, MetricScheduler
from .trial_scheduler import TrialScheduler, needs_of, waits


class HyperBandScheduler(MetricScheduler):
    """Pauses trials at milestones, and stops the worse ones. Trials should be able to save and load themselves.

    max_t: a trial stops there (in units of time_attr); it decides the brackets' shapes. reduction_factor: of the
    trials of a bracket 1/reduction_factor go on. stop_last_trials: whether max_t is an end.
    """

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: int = 81,
        reduction_factor: float = 3,
        stop_last_trials: bool = True,
    ) -> None:
        if max_t <= 0:
            raise ValueError(f"max_t must be positive, not {max_t}")
        if reduction_factor <= 1:
            raise ValueError(f"reduction_factor must be above 1, not {reduction_factor}")
        super().__init__(time_attr, metric, mode)
        self._max_t, self._eta, self._stop_last = max_t, reduction_factor, stop_last_trials
        self._kinds = round(math.log(max_t) / math.log(reduction_factor)) + 1
        self._bands: list[list[Bracket | None]] = [[]]  # None: a bracket too small to be
        self._bracket_of: dict[str, Bracket] = {}  # by trial id
        self._trials: dict[str, Any] = {}  # the trials that live
        self._kinds_of_needs: Counter[Any] = Counter()  # of the trials that live
        self._first_band = 0  # in those before it nothing lives
        self._stopped = 0

    # Brackets.

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        self.require_metric()
        self._trials[trial.trial_id] = trial
        self._kinds_of_needs[needs_of(trial)] += 1
        if trial.trial_id not in self._bracket_of:
            bracket = self._open_bracket()
            bracket.add(trial.trial_id)
            self._bracket_of[trial.trial_id] = bracket
            return
        kept = getattr(getattr(trial, "checkpoints", None), "newest", None)  # after a restore
        time, score = (self.time_of(kept.metrics), self.score_of(kept.metrics)) if kept else (0, 0)
        if kept and time is not None and score is not None:
            self._bracket_of[trial.trial_id].update(trial.trial_id, time, score)

    def on_trial_gone(self, controller: Any, trial: Any) -> None:
        self.on_trial_remove(controller, trial)

    def _open_bracket(self) -> Bracket:
        newest = self._bands[-1][-1] if self._bands[-1] else None
        while newest is None or newest.is_full():
            if len(self._bands[-1]) == self._kinds:
                self._bands.append([])
            halvings = self.halvings_of(len(self._bands[-1]))
            first = int(self._max_t * self._eta**-halvings)
            newest = None
            if first > 0:
                size = math.ceil(self._kinds / (halvings + 1) * self._eta**halvings)
                newest = Bracket(size, first, self._max_t, self._eta, halvings, self._stop_last)
            self._bands[-1].append(newest)
        return newest

    def halvings_of(self, place: int) -> int:
        """How often the bracket at this place in a band is halved."""
        return place

    def brackets(self) -> Iterator[Bracket]:
        """Those in which trials live, in the order in which trials are started from them: band by band, those that
        have done least first."""
        for band in self.living_bands():
            yield from sorted(band, key=Bracket.completion)

    def living_bands(self) -> Iterator[list[Bracket]]:
        """Of each band the brackets in which trials live."""
        last = len(self._bands) - 1
        while self._first_band < last and not living_in(self._bands[self._first_band]):
            self._first_band += 1
        for place in range(self._first_band, last + 1):
            yield living_in(self._bands[place])

    # Results.

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        time, score = self.time_of(result), self.score_of(result)
        if time is None or score is None:
            return TrialScheduler.CONTINUE
        bracket = self._bracket_of[trial.trial_id]
        bracket.update(trial.trial_id, time, score)
        if bracket.goes_on(trial.trial_id):
            return TrialScheduler.CONTINUE
        result["hyperband_info"] = {"budget": bracket.milestone}
        return self.at_milestone(controller, bracket, trial)

    def at_milestone(self, controller: Any, bracket: Bracket, trial: Any) -> str:
        """What becomes of a trial that has reached its bracket's milestone."""
        return self.halve(controller, bracket, trial) if bracket.is_done() else TrialScheduler.PAUSE

    def halve(self, controller: Any, bracket: Bracket, trial: Any) -> str:
        """Ends the worse trials of a bracket; gives what becomes of `trial`, which is running, not paused."""
        if bracket.is_finished():
            for one in list(bracket.trials):
                self._end(controller, bracket, one, trial)
            return TrialScheduler.STOP
        good, bad = bracket.halve()
        self._stopped += len(bad)
        for one in bad:
            self._end(controller, bracket, one, trial)
        own = trial.trial_id if trial is not None else None
        for one in good:
            if one != own and bracket.goes_on(one):
                self.on_promotion(controller, one)
        if own in bad:
            return TrialScheduler.STOP
        return TrialScheduler.CONTINUE if bracket.goes_on(own) else TrialScheduler.PAUSE

    def on_promotion(self, controller: Any, trial_id: str) -> None:
        """A trial that waits may go on behind a milestone."""

    def _end(self, controller: Any, bracket: Bracket, trial_id: str, running: Any) -> None:
        bracket.remove(trial_id)
        trial = self._forget(trial_id)
        self._bracket_of.pop(trial_id, None)
        if trial is not None and trial is not running and not trial.is_finished():
            controller.stop_trial(trial)

    def _forget(self, trial_id: str) -> Any:
        trial = self._trials.pop(trial_id, None)
        if trial is not None:
            self._kinds_of_needs -= Counter([needs_of(trial)])
        return trial

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        """Those that have waited for it need not any more."""
        self._forget(trial.trial_id)
        bracket = self._bracket_of.pop(trial.trial_id, None)
        if bracket is None:
            return
        bracket.remove(trial.trial_id)
        if bracket.trials and bracket.is_done():
            self.halve(controller, bracket, None)

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self.on_trial_remove(controller, trial)

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        self.on_trial_remove(controller, trial)

    # Starts.

    def choose_trial_to_run(self, controller: Any) -> Any:
        chosen = self.choose_from(controller)
        if chosen is not None or something_runs(controller):
            return chosen
        self.halve_done(controller)
        return self.choose_from(controller)

    def halve_done(self, controller: Any) -> None:
        """Nothing runs and nothing may: what the brackets wait for does not come (the experiment was killed between a
        result and its consequences; or no more trials come to fill a bracket)."""
        for bracket in list(self.brackets()):
            if bracket.trials and bracket.is_done():
                self.halve(controller, bracket, None)

    def choose_from(self, controller: Any, status: str | None = None) -> Any:
        """The first that waits, in the order of brackets(), and may run; with `status`: of those."""
        too_much: set[Any] = set()  # what there is no room for now
        for bracket in self.brackets():
            for trial_id in bracket.trials:
                trial = self._trials[trial_id]
                if not bracket.goes_on(trial_id) or not waits(controller, trial):
                    continue
                if needs_of(trial) in too_much or status not in (None, trial.status):
                    continue
                if controller.has_resources_for_trial(trial):
                    return trial
                too_much.add(needs_of(trial))
                if len(self._kinds_of_needs) == 1 and needs_of(trial) in self._kinds_of_needs:
                    return None  # the others need as much
        return None

    def debug_string(self) -> str:
        lines = [
            "Using HyperBand: " + f"num_stopped={self._stopped} total_brackets={self._count()}"
        ]
        for index, band in enumerate(self._bands):
            lines.append(f"Round #{index}:")
            lines.extend(f"  {bracket}" for bracket in band if bracket is not None)
        return "\n".join(lines)

    def _count(self) -> int:
        return sum(bracket is not None for band in self._bands for bracket in band)

    def get_state(self) -> dict[str, Any]:
        """All but the trials themselves, which are added again after a restore."""
        left_out = ("_trials", "_kinds_of_needs")
        return {key: value for key, value in self.__dict__.items() if key not in left_out}


def something_runs(controller: Any) -> bool:
    if hasattr(controller, "runs_anything"):
        return bool(controller.runs_anything())
    waiting = sum(1 for _ in controller.pending_trials()) + sum(
        1 for _ in controller.paused_trials()
    )
    return len(controller.get_live_trials()) > waiting


def living_in(band: list[Bracket | None]) -> list[Bracket]:
    return [bracket for bracket in band if bracket is not None and bracket.trials]


class Bracket:
    """A number of trials that are halved together. Knows them by id, in the order in which they came."""

    def __init__(
        self, size: int, first: int, max_t: int, eta: float, halvings: int, stop_last: bool
    ) -> None:
        self.size, self.milestone, self._max_t, self._eta = size, first, max_t, eta
        self._halvings, self._stop_last = halvings, stop_last
        self.trials: dict[str, tuple[float, float]] = {}  # id: time and score of the last result
        self._short: set[str] = set()  # those that have not reached the milestone
        self._added = 0
        self._work = _total_work(size, first, max_t, eta, halvings)
        self._done = 0.0

    def add(self, trial_id: str) -> None:
        self.trials[trial_id] = (0.0, WORST)
        self._short.add(trial_id)
        self._added += 1

    def remove(self, trial_id: str) -> None:
        self.trials.pop(trial_id, None)
        self._short.discard(trial_id)

    def update(self, trial_id: str, time: float, score: float) -> None:
        self._done += time - self.trials[trial_id][0]
        self.trials[trial_id] = (time, score)
        if time < self.milestone:  # it may have fallen back to a checkpoint
            self._short.add(trial_id)
        else:
            self._short.discard(trial_id)

    def is_full(self) -> bool:
        return len(self.trials) >= self.size

    def is_done(self) -> bool:
        """Whether all that live have reached the milestone."""
        return not self._short

    def is_finished(self) -> bool:
        """Whether no milestone is left."""
        return self._stop_last and self._halvings == 0 and self.is_done()

    def goes_on(self, trial_id: str | None) -> bool:
        """Whether a trial of it may run."""
        if trial_id not in self.trials:
            return False
        return trial_id in self._short or (self._halvings == 0 and not self._stop_last)

    def halve(self) -> tuple[list[str], list[str]]:
        """Sets the next milestone; gives those that go on to it and those that do not."""
        if self._halvings == 0:
            return list(self.trials), []
        self._halvings -= 1
        self.size = math.ceil(self.size / self._eta)
        self.milestone = int(min(self.milestone * self._eta, self._max_t))
        ranked = sorted(self.trials, key=lambda one: self.trials[one][1])
        good, bad = ranked[-self.size :], ranked[: -self.size]
        self._short = {one for one in good if self.trials[one][0] < self.milestone}
        return good, bad

    def completion(self) -> float:
        """How much of its work is done, 0 to about 1."""
        return self._done / self._work

    def __repr__(self) -> str:
        return (
            f"Bracket(Max Size (n)={self.size}, Milestone (r)={self.milestone}, "
            f"completed={100 * self.completion():.1f}%): {len(self.trials)} live"
        )


def _total_work(size: int, milestone: float, max_t: float, eta: float, halvings: int) -> float:
    """What brackets are compared by: about what they do if nothing fails, in units of time. The sum is Ray's."""
    work, longest = 0.0, max_t - milestone
    for _ in range(halvings + 1):
        work += size * milestone
        size, milestone = math.ceil(size / eta), int(min(milestone * eta, longest))
    return max(work, 1.0)
