"""Results in Weights & Biases: a run for each trial. Follows `ray.air.integrations.wandb`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..result import TRAINING_ITERATION
from .logger import LoggerCallback
from .tracking import need, numbers_of, session_names, settings_of


def _set_key(api_key: str | None, api_key_file: str | None) -> None:
    """The key that the program gives; without one wandb uses its own settings."""
    if api_key and api_key_file:
        raise ValueError("give api_key or api_key_file, not both")
    if api_key_file:
        api_key = Path(api_key_file).expanduser().read_text().strip()
    if api_key:
        os.environ["WANDB_API_KEY"] = api_key


class WandbLoggerCallback(LoggerCallback):
    """Logs configs and the numbers of results.

    project: "uncategorized" if nothing else is said. group: the trainable's name by default. api_key, api_key_file: the
    key. excludes: fields of results and configs that are not logged. log_config: every result with its config.
    upload_checkpoints: checkpoints as artifacts. kwargs: for wandb.init(). Runs live in the driver's process, side by
    side (wandb 0.19.10 or newer). ImportError: no wandb. ValueError: two keys.
    """

    def __init__(
        self,
        project: str | None = None,
        group: str | None = None,
        api_key_file: str | None = None,
        api_key: str | None = None,
        excludes: list[str] | None = None,
        log_config: bool = False,
        upload_checkpoints: bool = False,
        save_checkpoints: bool = False,
        upload_timeout: int = 1800,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self._wandb = need("wandb", "wandb", "WandbLoggerCallback")
        _set_key(api_key, api_key_file)
        self._project, self._group = project, group
        self._excludes, self._log_config = set(excludes or ()), log_config
        self._upload = upload_checkpoints or save_checkpoints
        self._options = kwargs
        self._runs: dict[str, Any] = {}

    def log_trial_start(self, trial: Any) -> None:
        if trial.trial_id in self._runs:
            self._runs[trial.trial_id].config.update(self._config(trial), allow_val_change=True)
            return
        options: dict[str, Any] = {
            "id": trial.trial_id,
            "name": str(trial),
            "resume": "allow",
            "reinit": "create_new",
            "project": self._project or os.environ.get("WANDB_PROJECT_NAME", "uncategorized"),
            "group": self._group or os.environ.get("WANDB_GROUP_NAME") or trial.trainable_name,
            "config": self._config(trial),
            "dir": trial.local_path,
        }
        self._runs[trial.trial_id] = self._wandb.init(**{**options, **self._options})

    def _config(self, trial: Any) -> dict[str, Any]:
        return {k: v for k, v in settings_of(trial.config).items() if k not in self._excludes}

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        row: dict[str, Any] = {
            name: value
            for name, value in numbers_of(result).items()
            if name not in self._excludes and name.split("/")[0] not in self._excludes
        }
        if self._log_config:
            row.update({f"config/{name}": value for name, value in self._config(trial).items()})
        self._runs[trial.trial_id].log(row, step=result.get(TRAINING_ITERATION))

    def log_trial_save(self, trial: Any) -> None:
        if self._upload and trial.checkpoint is not None and trial.trial_id in self._runs:
            artifact = self._wandb.Artifact(name=f"checkpoint_{trial}", type="model")
            artifact.add_dir(trial.checkpoint.path)
            self._runs[trial.trial_id].log_artifact(artifact)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        run = self._runs.pop(trial.trial_id, None)
        if run is not None:
            run.finish(exit_code=1 if failed else 0)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        for run in self._runs.values():
            run.finish()
        self._runs.clear()


def setup_wandb(
    config: dict[str, Any] | None = None,
    api_key: str | None = None,
    api_key_file: str | None = None,
    rank_zero_only: bool = True,
    **kwargs: Any,
) -> Any:
    """Starts a run in the process of a trial and gives it. kwargs: for wandb.init()."""
    wandb = need("wandb", "wandb", "setup_wandb")
    _set_key(api_key, api_key_file)
    trial, experiment = session_names()
    options = {
        "name": trial,
        "group": experiment,
        "project": os.environ.get("WANDB_PROJECT_NAME"),
        "config": settings_of(config or {}),
        "resume": "allow",
    }
    chosen = {key: value for key, value in options.items() if value is not None}
    return wandb.init(**{**chosen, **kwargs})
