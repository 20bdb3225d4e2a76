"""TrialScheduler: which trials go on, which stop, which wait. Follows `ray.tune.schedulers.TrialScheduler`."""

from __future__ import annotations

from typing import Any

from ..utils.saved_state import SavedState


class TrialScheduler(SavedState):
    """Decides after each result. `controller` has `get_trials()`, `get_live_trials()`, `pause_trial(trial)`,
    `stop_trial(trial)`."""

    CONTINUE = "CONTINUE"
    PAUSE = "PAUSE"
    STOP = "STOP"
    NOOP = "NOOP"

    _metric: str | None = None
    _supports_buffered_results = True

    @property
    def metric(self) -> str | None:
        return self._metric

    @property
    def supports_buffered_results(self) -> bool:
        return self._supports_buffered_results

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Takes the metric and mode of tune.run() where it has none of its own. False: it has, and they differ in
        origin."""
        if self._metric and metric:
            return False
        if metric:
            self._metric = metric
        return True

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        """A new trial may be started."""

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        """A trial has failed for good."""

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """What becomes of a trial after this result: CONTINUE, PAUSE, STOP, or NOOP (the scheduler did it)."""
        return self.CONTINUE

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A trial has ended; `result` is its last."""

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        """A trial is gone before it ended."""

    def on_trial_gone(self, controller: Any, trial: Any) -> None:
        """After a restore, when the trials that go on have been added: this one has ended, maybe behind the state that
        has been restored. Not in Ray."""

    def choose_trial_to_run(self, controller: Any) -> Any:
        """The next of those that wait (PENDING or PAUSED), or None. Those for which
        `controller.has_resources_for_trial(trial)` is false cannot run now."""
        raise NotImplementedError

    def debug_string(self) -> str:
        """One or some lines for the status block."""
        return f"Using {type(self).__name__}."


def needs_of(trial: Any) -> Any:
    """What a trial needs to run, for trials that are alike in that."""
    return getattr(trial, "placement_group_factory", None)


def waits(controller: Any, trial: Any) -> bool:
    """Whether a trial may be started: it is pending or paused, and not on its way already."""
    ask = getattr(controller, "is_waiting", None)
    if ask is not None:
        return bool(ask(trial))
    return trial.status in (trial.PENDING, trial.PAUSED)


class FIFOScheduler(TrialScheduler):
    """Trials run in order, until they are done."""

    def choose_trial_to_run(self, controller: Any) -> Any:
        for waiting in (controller.pending_trials(), controller.paused_trials()):
            for trial in waiting:
                if controller.has_resources_for_trial(trial):
                    return trial
                break  # order: a later and smaller one does not overtake it
        return None

    def debug_string(self) -> str:
        return "Using FIFO scheduling algorithm."
