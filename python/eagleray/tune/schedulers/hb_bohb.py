"""HyperBand as BOHB needs it (Falkner et al., 2018). Follows `ray.tune.schedulers.HyperBandForBOHB`.

A bracket is halved only when it is full and its trials wait, and the searcher is told which trials wait: it models the
results of each milestone by itself, so it sees them when they are all of the same length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .hyperband import Bracket, HyperBandScheduler, something_runs
from .trial_scheduler import TrialScheduler


class HyperBandForBOHB(HyperBandScheduler):
    """To be used with the searcher TuneBOHB. Its arguments are HyperBandScheduler's."""

    def halvings_of(self, place: int) -> int:
        """The brackets with most trials come first: their short runs teach the searcher."""
        return self._kinds - place - 1

    def at_milestone(self, controller: Any, bracket: Bracket, trial: Any) -> str:
        others = (self._trials[one] for one in bracket.trials if one != trial.trial_id)
        if bracket.is_full() and all(one.status == one.PAUSED for one in others):
            if bracket.is_done():
                return self.halve(controller, bracket, trial)
        self._tell(controller, "on_pause", trial.trial_id)
        return TrialScheduler.PAUSE

    def on_promotion(self, controller: Any, trial_id: str) -> None:
        self._tell(controller, "on_unpause", trial_id)

    @staticmethod
    def _tell(controller: Any, name: str, trial_id: str) -> None:
        method = getattr(getattr(controller, "search_alg", None), name, None)
        if method is not None:
            method(trial_id)

    def brackets(self) -> Iterator[Bracket]:
        for band in self.living_bands():
            yield from band

    def choose_trial_to_run(self, controller: Any) -> Any:
        chosen = self._choose(controller)
        if chosen is not None or something_runs(controller):
            return chosen
        self.halve_done(controller)  # no more trials come to fill the brackets
        return self._choose(controller)

    def _choose(self, controller: Any) -> Any:
        """Those that go on come before new ones."""
        paused = None
        if any(self._bracket_goes_on(trial.trial_id) for trial in controller.paused_trials()):
            paused = self.choose_from(controller, "PAUSED")
        return paused or self.choose_from(controller, "PENDING")

    def _bracket_goes_on(self, trial_id: str) -> bool:
        bracket = self._bracket_of.get(trial_id)
        return bracket is not None and bracket.goes_on(trial_id)
