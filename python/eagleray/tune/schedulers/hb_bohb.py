"""HyperBand as BOHB needs it (Falkner et al., 2018). Follows `ray.tune.schedulers.HyperBandForBOHB`.

A bracket is halved only when it is full and its trials wait, and the searcher is told which trials wait: it models the
results of each milestone by itself, so it sees them when they are all of the same length.
"""

from __future__ import annotations

from typing import Any

from .hyperband import Bracket, HyperBandScheduler, living_in
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

    def brackets(self) -> list[Bracket]:
        return [bracket for band in self._bands for bracket in living_in(band)]

    def choose_trial_to_run(self, controller: Any) -> Any:
        chosen = self._choose(controller)
        if chosen is not None or _something_runs(controller):
            return chosen
        # Nothing runs and nothing may: no more trials come to fill the brackets. They are halved as they are.
        for bracket in self.brackets():
            if bracket.is_done():
                self.halve(controller, bracket, None)
        return self._choose(controller)

    def _choose(self, controller: Any) -> Any:
        """Those that go on come before new ones."""
        paused = self.choose_from(controller, list(controller.paused_trials()))
        return paused or self.choose_from(controller, list(controller.pending_trials()))


def _something_runs(controller: Any) -> bool:
    waiting = sum(1 for _ in controller.pending_trials()) + sum(
        1 for _ in controller.paused_trials()
    )
    return len(controller.get_live_trials()) > waiting
