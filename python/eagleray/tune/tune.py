"""tune.run() and run_experiments(). Follows `ray.tune.run`, in its arguments of 2020 and of today."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .analysis import ExperimentAnalysis
from .callback import Callback
from .error import TuneError
from .execution.run import Experiment, run_experiment
from .experiment.trial import Trial
from .progress_reporter import ProgressReporter


def run(
    run_or_experiment: Any,
    *,
    name: str | None = None,
    metric: str | None = None,
    mode: str | None = None,
    stop: Any = None,
    time_budget_s: Any = None,
    config: dict[str, Any] | None = None,
    resources_per_trial: Any = None,
    num_samples: int = 1,
    storage_path: str | None = None,
    local_dir: str | None = None,
    search_alg: Any = None,
    scheduler: Any = None,
    checkpoint_config: Any = None,
    keep_checkpoints_num: int | None = None,
    checkpoint_score_attr: str | None = None,
    checkpoint_freq: int = 0,
    checkpoint_at_end: bool = False,
    verbose: Any = None,
    progress_reporter: ProgressReporter | None = None,
    log_to_file: Any = False,
    trial_name_creator: Callable[[Trial], str] | None = None,
    trial_dirname_creator: Callable[[Trial], str] | None = None,
    chdir_to_trial_dir: bool | None = None,
    sync_config: Any = None,
    export_formats: Any = None,
    max_failures: int = 0,
    fail_fast: Any = False,
    restore: Any = None,
    server_port: int | None = None,
    resume: Any = None,
    resume_config: Any = None,
    reuse_actors: bool | None = None,
    raise_on_failed_trial: bool = True,
    callbacks: Sequence[Callback] | None = None,
    max_concurrent_trials: int | None = None,
    queue_trials: bool | None = None,
    loggers: Any = None,
    trial_executor: Any = None,
    _experiment_checkpoint_dir: str | None = None,
    _remote: bool | None = None,
) -> ExperimentAnalysis:
    """Runs trials of a trainable and gives what they have found.

    run_or_experiment: a function of a config, a subclass of tune.Trainable, a registered name, or an algorithm of
    RLlib by its name ("PPO").
    name: of the experiment's directory below storage_path (local_dir in older programs; `~/ray_results`).
    metric, mode: what is optimised, "min" or "max"; searchers, schedulers and `best_config` use them.
    stop: a dict (a trial ends when one of its metrics reaches the value), a function of trial id and result, a
    Stopper, or a list of these. time_budget_s: seconds for the whole experiment, or a timedelta.
    config: the settings; what tune.grid_search(), tune.uniform() and the like stand in for is drawn for each trial.
    num_samples: how often; grids are run through each time; -1: without end.
    resources_per_trial: `{"cpu": 2, "gpu": 1}`, a PlacementGroupFactory, or a function of the config.
    search_alg, scheduler: where configs come from, which trials go on.
    checkpoint_config: a CheckpointConfig; or its parts: checkpoint_freq in iterations, checkpoint_at_end,
    keep_checkpoints_num (None: all), checkpoint_score_attr ("min-loss" or "loss": which are the best).
    verbose: 0 nothing, 1 the status block, 2 also trials that end, 3 also each result.
    log_to_file: True, a name or two: what trials print goes to files in their directories.
    max_failures: how often a trial is tried again, from its last checkpoint; -1: always. fail_fast: the first failure
    ends the experiment; "raise": it is raised.
    restore: the path of a checkpoint that each trial starts from.
    resume: True: the experiment of this name goes on; "AUTO": if there is one; "ERRORED_ONLY": only trials that
    failed; "AUTO+ERRORED", "AUTO+RESTART_ERRORED": these too. resume_config: a ResumeConfig, which says it for each
    kind of trial.
    export_formats: "checkpoint", "model", "onnx", "h5": a trial that has ended is asked for these by its
    export_model(), which writes into its directory; it fails where that does.
    reuse_actors: one process runs one trial after another; None: for functions.
    raise_on_failed_trial: TuneError at the end when trials have failed; False: the analysis has them.
    callbacks: instances of tune.Callback; loggers of JSON, CSV and (with tensorboardX) TensorBoard are added.
    max_concurrent_trials: at most so many at a time.
    sync_config, server_port, trial_executor, queue_trials: have no meaning on one machine; what is given is said.

    ValueError, TuneError: what is asked for cannot be. TuneError: trials have failed.
    """
    given = dict(locals())
    _say_unused(
        sync_config=sync_config,
        server_port=server_port,
        trial_executor=trial_executor,
        _remote=_remote,
    )
    if hasattr(run_or_experiment, "spec"):  # an Experiment object
        defaults = {name: one.default for name, one in inspect.signature(run).parameters.items()}
        options = {k: v for k, v in given.items() if k in defaults and v is not defaults[k]}
        options.pop("run_or_experiment")
        return _run_spec(run_or_experiment.name, run_or_experiment.spec, **options)
    checkpoints = _checkpoint_options(
        checkpoint_config,
        keep_checkpoints_num,
        checkpoint_score_attr,
        checkpoint_freq,
        checkpoint_at_end,
    )
    experiment = Experiment(
        trainable=run_or_experiment,
        config={} if config is None else config,
        name=name,
        storage_path=storage_path or local_dir,
        metric=metric,
        mode=mode,
        stop=stop,
        time_budget_s=time_budget_s,
        num_samples=num_samples,
        resources_per_trial=resources_per_trial,
        search_alg=search_alg,
        scheduler=scheduler,
        max_concurrent=max_concurrent_trials or 0,
        reuse_actors=reuse_actors,
        max_failures=max_failures,
        fail_fast=fail_fast,
        restore=restore,
        resume=resume,
        callbacks=[callbacks] if isinstance(callbacks, Callback) else list(callbacks or []),
        loggers=loggers,
        verbose=3 if verbose is None else int(verbose),
        reporter=progress_reporter,
        log_to_file=log_to_file,
        chdir=chdir_to_trial_dir is not False,
        trial_name_creator=trial_name_creator,
        trial_dirname_creator=trial_dirname_creator,
        export_formats=export_formats,
        resume_config=resume_config,
        **checkpoints,
    )
    analysis = run_experiment(experiment)
    if raise_on_failed_trial:
        raise_if_failed(analysis.trials)
    return analysis


def raise_if_failed(trials: list[Trial]) -> None:
    """TuneError that names the trials that have failed, and how the first one did."""
    failed = [trial for trial in trials if trial.status == Trial.ERROR]
    if failed:
        raise TuneError(
            f"{len(failed)} of {len(trials)} trials have failed: {failed[:5]}. The first: {failed[0].error_message} "
            f"(all of it in {failed[0].error_file})",
            failed,
        ) from failed[0].error


def run_experiments(
    experiments: Any,
    scheduler: Any = None,
    verbose: Any = None,
    progress_reporter: ProgressReporter | None = None,
    resume: Any = False,
    resume_config: Any = None,
    reuse_actors: bool | None = None,
    raise_on_failed_trial: bool = True,
    concurrent: bool = True,
    callbacks: Sequence[Callback] | None = None,
    **unused: Any,
) -> list[Trial]:
    """Runs experiments that are described by dicts: `{"name": {"run": "PPO", "stop": {...}, "config": {...}}}`.

    All their trials are returned. They run one experiment after the other.
    """
    _say_unused(**unused)
    if isinstance(experiments, dict):
        described = list(experiments.items())
    else:
        described = [(one.name, one.spec) for one in experiments]
    trials: list[Trial] = []
    for name, spec in described:
        analysis = _run_spec(
            name,
            spec,
            scheduler=scheduler,
            verbose=verbose,
            progress_reporter=progress_reporter,
            resume=resume,
            resume_config=resume_config,
            reuse_actors=reuse_actors,
            raise_on_failed_trial=raise_on_failed_trial,
            callbacks=callbacks,
        )
        trials += analysis.trials
    return trials


def _run_spec(name: str, spec: dict[str, Any], **options: Any) -> ExperimentAnalysis:
    spec = dict(spec)
    trainable = spec.pop("run", None)
    if trainable is None:
        raise TuneError(
            f"the experiment {name!r} does not say what to run: {{'run': ...}} is missing"
        )
    if "env" in spec:  # as the files of RLlib have it
        spec["config"] = {**spec.get("config", {}), "env": spec.pop("env")}
    return run(trainable, **{"name": name, **spec, **options})


def _checkpoint_options(
    config: Any, keep: int | None, score: str | None, freq: int, at_end: bool
) -> dict[str, Any]:
    if config is not None:
        if isinstance(config, dict):
            from .config import CheckpointConfig

            config = CheckpointConfig(**config)
        keep = config.num_to_keep if keep is None else keep
        score = config.checkpoint_score_attribute if score is None else score
        order = config.checkpoint_score_order
        freq = freq or config.checkpoint_frequency or 0
        at_end = at_end or bool(config.checkpoint_at_end)
    else:
        order = "max"
        if score and score.startswith("min-"):
            score, order = score[4:], "min"
    if keep is not None and keep <= 0:
        raise ValueError(f"at least one checkpoint has to be kept, not {keep}")
    return {
        "checkpoint_freq": freq,
        "checkpoint_at_end": at_end,
        "keep_checkpoints": keep,
        "checkpoint_score": score,
        "checkpoint_order": order,
    }


def _say_unused(**options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            warnings.warn(f"tune.run({name}=...) has no effect on one machine", stacklevel=3)
