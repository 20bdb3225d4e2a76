"""Results in MLflow: a run for each trial. Follows `ray.air.integrations.mlflow`."""

from __future__ import annotations

import os
from typing import Any

from ..result import TRAINING_ITERATION
from .logger import LoggerCallback
from .tracking import need, numbers_of, session_names, settings_of

PARAMETERS_MAX = 100  # that MLflow takes in one call


def _connected(
    tracking_uri: str | None, registry_uri: str | None, token: str | None, who: str
) -> Any:
    mlflow = need("mlflow", "mlflow", who)
    if token:
        os.environ["MLFLOW_TRACKING_TOKEN"] = token
    if tracking_uri:
        mlflow.set_tracking_uri(tracking_uri)
    if registry_uri:
        mlflow.set_registry_uri(registry_uri)
    return mlflow


class MLflowLoggerCallback(LoggerCallback):
    """Logs configs as parameters and the numbers of results as metrics, by training_iteration.

    tracking_uri, registry_uri, tracking_token: where, and as whom; else as MLflow's own settings say.
    experiment_name: it is made if it is not there; None: the experiment's name. tags: of every run. save_artifact:
    uploads the trial's directory at its end. log_params_on_trial_end: parameters then, as schedulers may have
    changed them. ImportError: no mlflow.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        *,
        registry_uri: str | None = None,
        experiment_name: str | None = None,
        tags: dict[str, Any] | None = None,
        tracking_token: str | None = None,
        save_artifact: bool = False,
        log_params_on_trial_end: bool = False,
    ) -> None:
        super().__init__()
        self._where = (tracking_uri, registry_uri, tracking_token)
        self._name, self._tags = experiment_name, dict(tags or {})
        self._save_artifact, self._params_at_end = save_artifact, log_params_on_trial_end
        need("mlflow", "mlflow", "MLflowLoggerCallback")
        self._client: Any = None
        self._experiment_id: Any = None
        self._runs: dict[str, Any] = {}  # MLflow's run id by trial
        self._logged: dict[str, set[str]] = {}  # parameters, which MLflow lets nobody change

    def _connect(self, trial: Any) -> None:
        mlflow = _connected(*self._where, "MLflowLoggerCallback")
        self._client = mlflow.tracking.MlflowClient()
        name = self._name or os.path.basename(trial.local_experiment_path)
        known = self._client.get_experiment_by_name(name)
        self._experiment_id = (
            known.experiment_id if known is not None else self._client.create_experiment(name)
        )

    def log_trial_start(self, trial: Any) -> None:
        if self._client is None:
            self._connect(trial)
        if trial.trial_id not in self._runs:
            tags = {**self._tags, "trial_name": str(trial), "mlflow.runName": str(trial)}
            run = self._client.create_run(experiment_id=self._experiment_id, tags=tags)
            self._runs[trial.trial_id] = run.info.run_id
        if not self._params_at_end:
            self._log_params(trial)

    def _log_params(self, trial: Any) -> None:
        logged = self._logged.setdefault(trial.trial_id, set())
        for name, value in settings_of(trial.config).items():
            if name in logged:
                continue
            logged.add(name)
            self._client.log_param(self._runs[trial.trial_id], name, value)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        step = result.get(TRAINING_ITERATION) or 0
        for name, value in numbers_of(result).items():
            self._client.log_metric(self._runs[trial.trial_id], name, value, step=step)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        run = self._runs.get(trial.trial_id)
        if run is None:
            return
        if self._params_at_end:
            self._log_params(trial)
        if self._save_artifact:
            self._client.log_artifacts(run, local_dir=trial.local_path)
        self._client.set_terminated(run, status="FAILED" if failed else "FINISHED")


def setup_mlflow(
    config: dict[str, Any] | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment_id: str | None = None,
    experiment_name: str | None = None,
    tracking_token: str | None = None,
    artifact_location: str | None = None,
    run_name: str | None = None,
    create_experiment_if_not_exists: bool = False,
    tags: dict[str, Any] | None = None,
    rank_zero_only: bool = True,
) -> Any:
    """Starts a run in the process of a trial and gives the mlflow module. config: logged as parameters. run_name,
    experiment_name: the trial's and the experiment's by default. ValueError: the experiment is not there."""
    mlflow = _connected(tracking_uri, registry_uri, tracking_token, "setup_mlflow")
    trial, experiment = session_names()
    name = experiment_name or experiment
    if experiment_id is None:
        known = mlflow.get_experiment_by_name(name) if name else None
        if known is not None:
            experiment_id = known.experiment_id
        elif create_experiment_if_not_exists and name:
            experiment_id = mlflow.create_experiment(name, artifact_location=artifact_location)
        elif name and experiment_name:
            raise ValueError(
                f"MLflow has no experiment {name!r} (create_experiment_if_not_exists=True makes it)"
            )
    mlflow.start_run(run_name=run_name or trial, experiment_id=experiment_id, tags=tags)
    settings = list(settings_of(config or {}).items())
    for first in range(0, len(settings), PARAMETERS_MAX):
        mlflow.log_params(dict(settings[first : first + PARAMETERS_MAX]))
    return mlflow
