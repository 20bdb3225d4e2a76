"""Result and ResultGrid: what Tuner.fit() gives. Follows `ray.tune.ResultGrid` and `ray.train.Result`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .analysis import ExperimentAnalysis
from .checkpoint import Checkpoint
from .experiment.trial import Trial
from .result import AUTO_FIELDS


@dataclass(repr=False)
class Result:
    """What one trial has come to.

    metrics: its last result, with its config under "config". checkpoint: its latest. error: what it failed with,
    or None. path: its directory. best_checkpoints: pairs of a Checkpoint and the metrics that it came with.
    """

    metrics: dict[str, Any] | None
    checkpoint: Checkpoint | None
    error: BaseException | None
    path: str | None = None
    metrics_dataframe: Any = None
    best_checkpoints: list[tuple[Checkpoint, dict[str, Any]]] | None = None
    filesystem: Any = field(default=None, repr=False)

    @property
    def config(self) -> dict[str, Any] | None:
        return self.metrics.get("config") if self.metrics else None

    @property
    def log_dir(self) -> str | None:
        return self.path

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], storage_filesystem: Any = None) -> Result:
        """The result of the trial in this directory, as its experiment's journal has it. ValueError: it is no trial's."""
        directory = Path(os.fspath(path)).expanduser().absolute()
        if is_experiment(directory.parent):
            analysis = ExperimentAnalysis(directory.parent)
            for trial in analysis.trials:
                if trial.local_path == str(directory):
                    return _result_of(analysis, trial)
        raise ValueError(f"{directory} is not the directory of a trial")

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        metrics = self.metrics or {}
        own = {key: metrics[key] for key in metrics if key not in AUTO_FIELDS}
        error = [f"  error={type(self.error).__name__!r},"] if self.error is not None else []
        return [
            "Result(",
            *error,
            f"  metrics={own},",
            f"  path={self.path!r},",
            f"  checkpoint={self.checkpoint}",
            ")",
        ]

    def get_best_checkpoint(self, metric: str, mode: str) -> Checkpoint | None:
        """Of the checkpoints that are kept, the one with the best value of a metric. ValueError: none has it."""
        pairs = [
            (one, values[metric]) for one, values in self.best_checkpoints or [] if metric in values
        ]
        if not pairs:
            raise ValueError(f"no checkpoint came with {metric!r}")
        return (max if mode == "max" else min)(pairs, key=lambda pair: pair[1])[0]


class ResultGrid:
    """The results of an experiment, in the order of its trials."""

    def __init__(self, analysis: ExperimentAnalysis) -> None:
        self._analysis = analysis
        self._results = [self._result(trial) for trial in analysis.trials]

    def _repr_html_(self) -> str:
        """In a notebook: a trial a row, with its state, settings and last numbers."""
        from ..widgets._html import Rows

        rows = []
        for trial in self._analysis.trials:
            last = trial.last_result or {}
            numbers = {k: v for k, v in last.items() if isinstance(v, (int, float)) and k[0] != "_"}
            rows.append(
                {"trial": trial.trial_id, "status": trial.status, **trial.config, **numbers}
            )
        return Rows(rows)._repr_html_()

    def _result(self, trial: Trial) -> Result:
        return _result_of(self._analysis, trial)

    def get_best_result(
        self,
        metric: str | None = None,
        mode: str | None = None,
        scope: str = "last",
        filter_nan_and_inf: bool = True,
    ) -> Result:
        """The best one. ValueError: no metric is known; RuntimeError: no trial has reported it."""
        if len(self._results) == 1 and metric is None and self._analysis.default_metric is None:
            return self._results[0]
        best = self._analysis.get_best_trial(metric, mode, scope, filter_nan_and_inf)
        if best is None:
            name = metric or self._analysis.default_metric
            raise RuntimeError(f"no trial has reported {name!r} (NaN and infinity do not count)")
        return self._results[self._analysis.trials.index(best)]

    def get_dataframe(
        self, filter_metric: str | None = None, filter_mode: str | None = None
    ) -> Any:
        """A pandas data frame with a row per trial; filter_metric: of the result where that was best."""
        return self._analysis.dataframe(metric=filter_metric, mode=filter_mode)

    @property
    def experiment_path(self) -> str | None:
        return self._analysis.experiment_path

    @property
    def errors(self) -> list[BaseException]:
        """What trials have failed with."""
        return [result.error for result in self._results if result.error is not None]

    @property
    def num_errors(self) -> int:
        return sum(trial.status == Trial.ERROR for trial in self._analysis.trials)

    @property
    def num_terminated(self) -> int:
        return sum(trial.status == Trial.TERMINATED for trial in self._analysis.trials)

    def __len__(self) -> int:
        return len(self._results)

    def __getitem__(self, index: int) -> Result:
        return self._results[index]

    def __iter__(self) -> Iterator[Result]:
        return iter(self._results)

    def __repr__(self) -> str:
        inner = ",\n".join(
            f"  {line}" for one in self._results for line in ["\n  ".join(one._lines())]
        )
        return f"ResultGrid<[\n{inner}\n]>"


class _LazyResult(Result):
    """A Result whose data frame is made when it is asked for."""

    def __init__(self, analysis: ExperimentAnalysis, trial: Trial, **values: Any) -> None:
        self._of = (analysis, trial)
        super().__init__(**values)

    @property
    def metrics_dataframe(self) -> Any:
        analysis, trial = self._of
        return analysis.dataframe_of(trial)

    @metrics_dataframe.setter
    def metrics_dataframe(self, value: Any) -> None:
        if value is not None:
            raise AttributeError("metrics_dataframe is made from the journal")


_LazyResult.__name__ = _LazyResult.__qualname__ = "Result"


def _result_of(analysis: ExperimentAnalysis, trial: Trial) -> Result:
    return _LazyResult(
        analysis,
        trial,
        metrics={**trial.last_result, "config": trial.config},
        checkpoint=trial.checkpoint,
        error=trial.get_error(),
        path=trial.local_path,
        best_checkpoints=[(one.checkpoint, one.metrics) for one in trial.checkpoints.best_kept],
    )


def is_experiment(path: str | os.PathLike[str]) -> bool:
    """Whether there is an experiment in this directory."""
    from .execution.journal import Journal

    return Journal.path_in(os.path.expanduser(os.fspath(path))).exists()
