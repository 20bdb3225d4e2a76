"""LoggerCallback: callbacks that keep what trials report. Follows `ray.tune.logger`."""

from __future__ import annotations

from typing import Any

from ..._planned import lazily
from ..callback import Callback


class LoggerCallback(Callback):
    """Subclasses define log_trial_start, log_trial_result and log_trial_end.

    When they cannot write (OSError), that is said once and the trials go on.
    """

    tolerant = True

    @property
    def _started(self) -> set[str]:
        """Trials whose start has been told; made when it is needed, for subclasses that do not call __init__."""
        return self.__dict__.setdefault("_trials_started", set())

    def log_trial_start(self, trial: Any) -> None:
        """A trial begins, or goes on after a restore."""

    def log_trial_restore(self, trial: Any) -> None:
        """A trial goes on from a checkpoint."""

    def log_trial_save(self, trial: Any) -> None:
        """A trial has saved itself."""

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        """A trial has reported."""

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        """A trial has ended."""

    def log_trial_rewind(self, trial: Any, results: list[dict[str, Any]]) -> None:
        """Of what a trial has reported, only `results` count."""

    def _start(self, trial: Any) -> None:
        if trial.trial_id not in self._started:
            self._started.add(trial.trial_id)
            self.log_trial_start(trial)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._start(trial)

    def on_trial_restore(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.log_trial_restore(trial)

    def on_trial_save(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.log_trial_save(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._start(trial)
        self.log_trial_result(iteration, trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._started.discard(trial.trial_id)
        self.log_trial_end(trial, failed=False)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._started.discard(trial.trial_id)
        self.log_trial_end(trial, failed=True)

    def on_trial_rewind(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,
        results: list[dict[str, Any]],
        **info: Any,
    ) -> None:
        self._started.discard(trial.trial_id)
        self.log_trial_rewind(trial, results)


__getattr__ = lazily(__name__)  # names that are planned
