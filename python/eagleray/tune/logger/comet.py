"""Results in Comet: an experiment for each trial. Follows `ray.air.integrations.comet`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..result import TRAINING_ITERATION
from .logger import LoggerCallback
from .tracking import need, numbers_of, settings_of


class CometLoggerCallback(LoggerCallback):
    """Logs configs as parameters and the numbers of results as metrics.

    online: to Comet's server, else into files. tags: of every experiment. save_checkpoints: as artifacts.
    experiment_kwargs: for comet_ml.Experiment(). ImportError: no comet_ml.
    """

    def __init__(
        self,
        online: bool = True,
        tags: list[str] | None = None,
        save_checkpoints: bool = False,
        **experiment_kwargs: Any,
    ) -> None:
        super().__init__()
        self._comet = need("comet_ml", "comet-ml", "CometLoggerCallback")
        self._online, self._tags, self._save = online, list(tags or []), save_checkpoints
        self._options = experiment_kwargs
        self._experiments: dict[str, Any] = {}

    def log_trial_start(self, trial: Any) -> None:
        experiment = self._experiments.get(trial.trial_id)
        if experiment is None:
            kind = self._comet.Experiment if self._online else self._comet.OfflineExperiment
            experiment = self._experiments[trial.trial_id] = kind(**self._options)
            experiment.set_name(str(trial))
            experiment.add_tags(self._tags)
            experiment.log_other("Created from", "eagleray")
            experiment.log_other("trial_id", trial.trial_id)
        experiment.log_parameters(settings_of(trial.config))

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        self._experiments[trial.trial_id].log_metrics(
            numbers_of(result), step=result.get(TRAINING_ITERATION)
        )

    def log_trial_save(self, trial: Any) -> None:
        if self._save and trial.checkpoint is not None and trial.trial_id in self._experiments:
            artifact = self._comet.Artifact(name=f"checkpoint_{trial}", artifact_type="model")
            for file in Path(trial.checkpoint.path).rglob("*"):
                if file.is_file():
                    artifact.add(str(file), str(file.relative_to(trial.checkpoint.path)))
            self._experiments[trial.trial_id].log_artifact(artifact)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        experiment = self._experiments.pop(trial.trial_id, None)
        if experiment is not None:
            experiment.log_other("failed", failed)
            experiment.end()
