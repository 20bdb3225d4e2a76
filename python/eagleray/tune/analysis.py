"""ExperimentAnalysis: what an experiment has found. Follows `ray.tune.ExperimentAnalysis`."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from .checkpoint import Checkpoint
from .experiment.trial import Trial
from .utils.flatten import flatten, lookup

__path__: list[str] = []  # so that `ray.tune.analysis.experiment_analysis` is found

_SCOPES = ("last", "avg", "last-5-avg", "last-10-avg", "all")


class ExperimentAnalysis:
    """The trials of an experiment and the best of them.

    trials: a list of trials; or the path of an experiment's directory, which is read. default_metric, default_mode: what "best"
    means where a method is not told.
    """

    def __init__(
        self,
        trials: Any,
        default_metric: str | None = None,
        default_mode: str | None = None,
        *,
        experiment_path: str | None = None,
        remote_storage_path: Any = None,
    ) -> None:
        if default_mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', not {default_mode!r}")
        if isinstance(trials, (str, os.PathLike)):
            experiment_path = os.fspath(trials)
            trials, about = _read(Path(experiment_path).expanduser())
            default_metric = default_metric or about.get("metric")
            default_mode = default_mode or about.get("mode")
        self.trials: list[Trial] = list(trials)
        self.default_metric, self.default_mode = default_metric, default_mode
        self.experiment_path = experiment_path

    # The best.

    def get_best_trial(
        self,
        metric: str | None = None,
        mode: str | None = None,
        scope: str = "last",
        filter_nan_and_inf: bool = True,
    ) -> Trial | None:
        """The best trial; None: no trial has reported the metric.

        scope: which of a trial's values count: "last", "avg", "last-5-avg", "last-10-avg", or "all" (its best one).
        """
        metric, mode = self._metric(metric), self._mode(mode)
        if scope not in _SCOPES:
            raise ValueError(f"scope must be one of {', '.join(_SCOPES)}, not {scope!r}")
        best, best_value = None, math.nan
        for trial in self.trials:
            known = trial.metric_analysis.get(metric)
            if known is None:
                continue
            value = known[mode if scope == "all" else scope]
            if filter_nan_and_inf and not math.isfinite(value):
                continue
            better = value > best_value if mode == "max" else value < best_value
            if best is None or better:
                best, best_value = trial, value
        return best

    def get_best_config(
        self, metric: str | None = None, mode: str | None = None, scope: str = "last"
    ) -> dict[str, Any] | None:
        """The config of the best trial."""
        best = self.get_best_trial(metric, mode, scope)
        return best.config if best else None

    def get_best_logdir(
        self, metric: str | None = None, mode: str | None = None, scope: str = "last"
    ) -> str | None:
        """The directory of the best trial."""
        best = self.get_best_trial(metric, mode, scope)
        return best.local_path if best else None

    def get_best_checkpoint(
        self,
        trial: Any,
        metric: str | None = None,
        mode: str | None = None,
        return_path: bool = False,
    ) -> Any:
        """The checkpoint of a trial that came with its best result; None: it has none.

        return_path: its path instead of a Checkpoint.
        """
        metric, mode = self._metric(metric), self._mode(mode)
        pairs = [
            (path, value)
            for path, value in self.get_trial_checkpoints_paths(trial, metric)
            if value == value
        ]
        if not pairs:
            return None
        pick = max if mode == "max" else min
        path = pick(pairs, key=lambda pair: pair[1])[0]
        return path if return_path else Checkpoint(path)

    def get_last_checkpoint(
        self, trial: Any = None, metric: str | None = None, mode: str | None = None
    ) -> Checkpoint | None:
        """The latest checkpoint of a trial; without one, of the best trial."""
        trial = trial or self.get_best_trial(
            metric or self.default_metric or "training_iteration", mode or "max"
        )
        return trial.checkpoint if trial else None

    def get_trial_checkpoints_paths(
        self, trial: Any, metric: str | None = None
    ) -> list[tuple[str, Any]]:
        """Of each checkpoint of a trial, its path and the value of the metric that it came with."""
        metric = self._metric(metric) if metric or self.default_metric else "training_iteration"
        return [
            (one.checkpoint.path, one.metrics[metric])
            for one in trial.checkpoints.kept
            if one.metrics.get(metric) is not None
        ]

    @property
    def best_trial(self) -> Trial:
        best = self._best()
        return best

    @property
    def best_config(self) -> dict[str, Any]:
        return self._best().config

    @property
    def best_result(self) -> dict[str, Any]:
        return self._best().last_result

    @property
    def best_logdir(self) -> str:
        return self._best().local_path

    @property
    def best_checkpoint(self) -> Checkpoint | None:
        return self.get_best_checkpoint(self._best())

    @property
    def best_dataframe(self) -> Any:
        return self.trial_dataframes[self.best_logdir]

    @property
    def best_result_df(self) -> Any:
        """The last result of the best trial as a data frame of one row, its id as the index."""
        return _pandas().DataFrame([flatten(self.best_result)]).set_index("trial_id")

    def _best(self) -> Trial:
        best = self.get_best_trial()
        if best is None:
            raise ValueError(f"no trial has reported {self.default_metric!r}")
        return best

    # Everything.

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """The last result of each trial, by its id."""
        return {trial.trial_id: trial.last_result for trial in self.trials}

    @property
    def results_df(self) -> Any:
        """The last results as a pandas data frame, a row per trial, its id as the index."""
        rows = [{**flatten(trial.last_result), "trial_id": trial.trial_id} for trial in self.trials]
        frame = _pandas().DataFrame(rows)
        return frame.set_index("trial_id") if rows else frame

    def dataframe(self, metric: str | None = None, mode: str | None = None) -> Any:
        """A pandas data frame with a row per trial that has reported: its last result, or the one where the metric was best; the config
        in columns `config/...`, its directory in `logdir`."""
        rows = []
        for trial in self.trials:
            result = trial.last_result
            if metric is not None:
                result = self._best_row(trial, metric, self._mode(mode)) or {}
            row = flatten({key: value for key, value in result.items() if key != "config"})
            row.update(flatten({"config": trial.config}))
            if result:
                rows.append({**row, "logdir": trial.local_path})
        return _pandas().DataFrame(rows)

    def _best_row(self, trial: Trial, metric: str, mode: str) -> dict[str, Any] | None:
        rows = [row for row in self.results_of(trial) if lookup(row, metric) is not None]
        pick = max if mode == "max" else min
        return pick(rows, key=lambda row: lookup(row, metric)) if rows else None

    def results_of(self, trial: Trial) -> list[dict[str, Any]]:
        """All results of a trial, in order, from the journal. Not in Ray."""
        from .execution.journal import Journal

        if self.experiment_path is None:
            return [trial.last_result] if trial.last_result else []
        return list(Journal.read(self.experiment_path).results(trial.trial_id))

    @property
    def trial_dataframes(self) -> dict[str, Any]:
        """All results of each trial, by its directory."""
        return {trial.local_path: self.dataframe_of(trial) for trial in self.trials}

    def dataframe_of(self, trial: Trial) -> Any:
        """All results of one trial as a pandas data frame, with its config in columns `config/...`."""
        config = flatten({"config": trial.config})
        return _pandas().DataFrame([{**flatten(row), **config} for row in self.results_of(trial)])

    def fetch_trial_dataframes(self) -> dict[str, Any]:
        return self.trial_dataframes

    def get_all_configs(self, prefix: bool = False) -> dict[str, Any]:
        """The config of each trial, by its directory; prefix: its keys begin with `config/`."""
        return {
            trial.local_path: flatten({"config": trial.config}) if prefix else trial.config
            for trial in self.trials
        }

    def runner_data(self) -> dict[str, Any]:
        """What is known of the experiment as a whole."""
        return {"experiment_path": self.experiment_path, "trials": len(self.trials)}

    def stats(self) -> dict[str, Any]:
        """When it began and ended, seconds since 1970."""
        began = [trial.start_time for trial in self.trials if trial.start_time]
        ended = [trial.end_time for trial in self.trials if trial.end_time]
        return {"start_time": min(began, default=None), "timestamp": max(ended, default=None)}

    def set_filetype(self, file_type: str | None = None) -> None:
        """Ray's choice of the file that is read; here the journal is read."""

    def _metric(self, metric: str | None) -> str:
        if metric is None and self.default_metric is None:
            raise ValueError("no metric: give one here, or to tune.run(metric=..., mode=...)")
        return metric or self.default_metric or ""

    def _mode(self, mode: str | None) -> str:
        mode = mode or self.default_mode
        if mode is None:
            raise ValueError(
                "no mode: give 'min' or 'max' here, or to tune.run(metric=..., mode=...)"
            )
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', not {mode!r}")
        return mode


Analysis = ExperimentAnalysis


def _read(path: Path) -> tuple[list[Trial], dict[str, Any]]:
    import pickle

    from .execution.experiment_state import load_trials
    from .execution.journal import Journal

    journal = Journal.read(path)
    about = journal.get("about")
    return load_trials(journal, path.absolute()), pickle.loads(about) if about else {}


def _pandas() -> Any:
    try:
        import pandas  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise ImportError("data frames need pandas: pip install pandas") from None
    return pandas
