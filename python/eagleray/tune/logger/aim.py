"""Results in Aim: a run for each trial. Follows `ray.tune.logger.aim`."""

from __future__ import annotations

import os
from typing import Any

from ..result import TRAINING_ITERATION
from .logger import LoggerCallback
from .tracking import need, numbers_of, settings_of


class AimLoggerCallback(LoggerCallback):
    """Tracks the numbers of results, with the config as the run's `hparams`.

    repo: Aim's repository, else the experiment's directory. experiment_name: else the experiment's own. metrics: which
    fields, else all. aim_run_kwargs: for aim.Run(). ImportError: no aim.
    """

    def __init__(
        self,
        repo: Any = None,
        experiment_name: str | None = None,
        metrics: list[str] | None = None,
        **aim_run_kwargs: Any,
    ) -> None:
        super().__init__()
        self._aim = need("aim", "aim", "AimLoggerCallback")
        self._repo, self._name, self._options = repo, experiment_name, aim_run_kwargs
        self._metrics = None if metrics is None else set(metrics)
        self._runs: dict[str, Any] = {}

    def log_trial_start(self, trial: Any) -> None:
        run = self._runs.get(trial.trial_id)
        if run is None:
            run = self._runs[trial.trial_id] = self._aim.Run(
                repo=self._repo or trial.local_experiment_path,
                experiment=self._name or os.path.basename(trial.local_experiment_path),
                **self._options,
            )
            run["trial_id"] = trial.trial_id
            run["trial_log_dir"] = trial.local_path
        run["hparams"] = settings_of(trial.config)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        step = result.get(TRAINING_ITERATION)
        for name, value in numbers_of(result).items():
            if self._metrics is None or name in self._metrics:
                self._runs[trial.trial_id].track(value, name=name, step=step)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        run = self._runs.pop(trial.trial_id, None)
        if run is not None:
            run.close()
