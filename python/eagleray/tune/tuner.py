"""Tuner: an experiment as an object. Follows `ray.tune.Tuner`."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

from eagleray import cloudpickle

from .callback import Callback
from .config import CheckpointConfig, FailureConfig, ResumeConfig, RunConfig, TuneConfig
from .execution.journal import Journal
from .execution.run import Experiment, run_experiment
from .result_grid import ResultGrid, is_experiment


class Tuner:
    """Trials of a trainable over a space; `fit()` runs them.

    trainable: as of tune.run(). param_space: the config of trials, with tune.choice() and the like in it.
    tune_config, run_config: see there.
    """

    def __init__(
        self,
        trainable: Any = None,
        *,
        param_space: dict[str, Any] | None = None,
        tune_config: TuneConfig | None = None,
        run_config: RunConfig | None = None,
        _tuner_kwargs: dict[str, Any] | None = None,
        _tuner_internal: Any = None,
    ) -> None:
        if trainable is None:
            raise ValueError("Tuner needs a trainable: Tuner(trainable, param_space=...)")
        for value, kind, name in (
            (tune_config, TuneConfig, "tune_config"),
            (run_config, RunConfig, "run_config"),
        ):
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{name} must be a {kind.__name__}, not {type(value).__name__}")
        if hasattr(param_space, "to_dict"):  # an AlgorithmConfig
            param_space = param_space.to_dict()  # type: ignore[union-attr]
        self._trainable = trainable
        self._space = param_space or {}
        self._tune = tune_config or TuneConfig()
        self._run = run_config or RunConfig()
        self._resume: Any = None
        self._resume_config: ResumeConfig | None = None
        self._analysis: Any = None

    def fit(self) -> ResultGrid:
        """Runs all trials. Failures of trials are in the grid (`errors`), not raised."""
        self._analysis = run_experiment(self._experiment())
        return ResultGrid(self._analysis)

    def get_results(self) -> ResultGrid:
        """What fit() gave; or what is on disk of an experiment that was restored. RuntimeError: neither."""
        if self._analysis is not None:
            return ResultGrid(self._analysis)
        if self._resume is None or self._run.storage_path is None or self._run.name is None:
            raise RuntimeError("there are no results yet: call fit() first")
        from .analysis import ExperimentAnalysis

        path = Path(self._run.storage_path) / self._run.name
        return ResultGrid(ExperimentAnalysis(path, self._tune.metric, self._tune.mode))

    def _experiment(self) -> Experiment:
        # Searchers and schedulers keep what they learn: each fit() begins with those that were given.
        given = {"space": self._space, "tune": self._tune, "run": self._run}
        to_restore = cloudpickle.dumps(given)
        tune, run = pickle.loads(to_restore)["tune"], self._run
        checkpoints = run.checkpoint_config or CheckpointConfig()
        failures = run.failure_config or FailureConfig()
        return Experiment(
            trainable=self._trainable,
            config=dict(self._space),
            name=run.name,
            storage_path=run.storage_path or run.local_dir,
            metric=tune.metric,
            mode=tune.mode,
            stop=run.stop,
            time_budget_s=tune.time_budget_s,
            num_samples=tune.num_samples,
            search_alg=tune.search_alg,
            scheduler=tune.scheduler,
            max_concurrent=tune.max_concurrent_trials or 0,
            reuse_actors=tune.reuse_actors,
            max_failures=failures.max_failures,
            fail_fast=failures.fail_fast,
            checkpoint_freq=checkpoints.checkpoint_frequency,
            checkpoint_at_end=bool(checkpoints.checkpoint_at_end),
            keep_checkpoints=checkpoints.num_to_keep,
            checkpoint_score=checkpoints.checkpoint_score_attribute,
            checkpoint_order=checkpoints.checkpoint_score_order,
            resume=self._resume,
            callbacks=[run.callbacks]
            if isinstance(run.callbacks, Callback)
            else list(run.callbacks or []),
            verbose=1 if run.verbose is None else int(run.verbose),
            reporter=run.progress_reporter,
            log_to_file=run.log_to_file,
            chdir=tune.chdir_to_trial_dir is not False,
            trial_name_creator=tune.trial_name_creator,
            trial_dirname_creator=tune.trial_dirname_creator,
            to_restore=to_restore,
            resume_config=self._resume_config,
        )

    @classmethod
    def restore(
        cls,
        path: str | os.PathLike[str],
        trainable: Any,
        resume_unfinished: bool = True,
        resume_errored: bool = False,
        restart_errored: bool = False,
        param_space: dict[str, Any] | None = None,
        storage_filesystem: Any = None,
        _resume_config: Any = None,
    ) -> Tuner:
        """The Tuner of an experiment that was interrupted; `fit()` goes on with it.

        path: its directory. trainable: the same as before. resume_errored: trials that have failed go on from their
        checkpoints, too; restart_errored: from the start; _resume_config: says it for each kind of trial. param_space: only to bring objects in it up to date.
        ValueError: there is no experiment.
        """
        directory = Path(os.fspath(path)).expanduser().absolute()
        if not is_experiment(directory):
            raise ValueError(f"there is no experiment in {directory}")
        if resume_errored and restart_errored:
            raise ValueError("resume_errored and restart_errored exclude each other")
        journal = Journal.read(directory)
        kept = journal.get("tuner")
        state: dict[str, Any] = {"space": {}, "tune": TuneConfig(), "run": RunConfig()}
        if kept:
            state = pickle.loads(kept)
        journal.close()
        space = state["space"] if param_space is None else param_space
        tuner = cls(
            trainable, param_space=space, tune_config=state["tune"], run_config=state["run"]
        )
        tuner._run.name, tuner._run.storage_path = directory.name, str(directory.parent)
        errored = "resume" if resume_errored else "restart" if restart_errored else "skip"
        tuner._resume = "AUTO"
        tuner._resume_config = _resume_config or ResumeConfig(
            unfinished="resume" if resume_unfinished else "skip", errored=errored
        )
        return tuner

    @classmethod
    def can_restore(cls, path: str | os.PathLike[str], storage_filesystem: Any = None) -> bool:
        """Whether restore() would find an experiment there."""
        return is_experiment(path)
