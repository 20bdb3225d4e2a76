"""Runs an experiment: what tune.run() and Tuner.fit() have in common."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from eagleray import cloudpickle

from ..._places import make_directory
from ..._state import state as connection
from ..analysis import ExperimentAnalysis
from ..callback import Callback, CallbackList
from ..checkpoint import Checkpoint
from ..config import ResumeConfig
from ..error import TuneError
from ..experiment.checkpoints import CheckpointList
from ..experiment.trial import Trial, export_formats
from ..logger.files import CSVLoggerCallback, JsonLoggerCallback
from ..logger.logger import LoggerCallback
from ..logger.tensorboard import TBXLoggerCallback, is_wanted
from ..progress_reporter import ProgressReporter, default_reporter
from ..registry import _global_registry, get_trainable_cls
from ..result import default_results_dir
from ..schedulers.trial_scheduler import FIFOScheduler, TrialScheduler
from ..search.basic_variant import BasicVariantGenerator
from ..search.searcher import Searcher
from ..search.variant_generator import has_unresolved
from ..stopper.stopper import Stopper, as_stopper
from ..trainable.function_trainable import FunctionTrainable
from ..trainable.util import as_trainable_class, name_of
from .controller import TuneController
from .experiment_state import ExperimentState
from .journal import Journal
from .journal import value as journal_value
from .resources import Resources, resources_of
from .result_printer import ResultPrinter
from .resume import goes_on, read_wish, restore
from .start import init_for
from .trial_actors import TrialActors
from .trial_source import TrialSource

_logger = logging.getLogger("eagleray.tune")
INTERRUPT_SECONDS_MAX = 5.0  # that trials have to save themselves after Ctrl-C
_INTERRUPTED = "Ctrl-C: trials save themselves. Once more: they do not."
TURN_SECONDS = 0.5  # a turn of the loop ends after so long without a result, so that reports go on


@dataclass
class Experiment:
    """All that is asked of an experiment; tune.run() says what each means."""

    trainable: Any
    config: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    storage_path: str | None = None
    metric: str | None = None
    mode: str | None = None
    stop: Any = None
    time_budget_s: Any = None
    num_samples: int = 1
    resources_per_trial: Any = None
    search_alg: Any = None
    scheduler: Any = None
    max_concurrent: int = 0
    reuse_actors: bool | None = None
    max_failures: int = 0
    fail_fast: Any = False
    checkpoint_freq: int = 0
    checkpoint_at_end: bool = False
    keep_checkpoints: int | None = None
    checkpoint_score: str | None = None
    checkpoint_order: str = "max"
    restore: Any = None
    resume: Any = False
    callbacks: list[Callback] = field(default_factory=list)
    loggers: Any = None
    verbose: int = 3
    reporter: ProgressReporter | None = None
    log_to_file: Any = False
    chdir: bool = True
    trial_name_creator: Callable[[Trial], str] | None = None
    trial_dirname_creator: Callable[[Trial], str] | None = None
    export_formats: Any = None
    to_restore: bytes | None = None  # what Tuner.restore() needs beside the journal, pickled
    resume_config: ResumeConfig | None = (
        None  # what becomes of trials of an experiment that goes on
    )

    def __post_init__(self) -> None:
        if self.mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', not {self.mode!r}")
        if self.num_samples == 0 or self.num_samples < -1:
            raise ValueError(
                f"num_samples must be -1 (without end) or positive, not {self.num_samples}"
            )
        if self.max_concurrent < 0:
            raise ValueError(
                f"max_concurrent_trials must be positive, or None or 0: no limit; not {self.max_concurrent}"
            )
        if not isinstance(self.config, dict):
            raise ValueError(f"config must be a dict, not {type(self.config).__name__}")
        self.trainable_name = name_of(self.trainable)
        self.trainable_class = (
            get_trainable_cls(self.trainable)
            if isinstance(self.trainable, str)
            else as_trainable_class(self.trainable)
        )
        if self.is_function and (self.checkpoint_freq or self.checkpoint_at_end):
            raise ValueError(
                "a function saves itself, by tune.report(metrics, checkpoint=...): checkpoint_freq (checkpoint_frequency) "
                "and checkpoint_at_end are for classes"
            )
        if self.restore is not None and not Path(str(self.restore)).exists():
            raise ValueError(f"restore: there is no checkpoint at {self.restore}")
        self.export_formats = export_formats(self.export_formats)
        read_wish(self.resume, self.resume_config)  # ValueError before anything is started
        if self.storage_path and "://" in str(self.storage_path):
            if not str(self.storage_path).startswith("file://"):
                raise ValueError(
                    f"storage_path must be a local directory, not {self.storage_path!r}"
                )
            self.storage_path = str(self.storage_path).removeprefix("file://")
        self.stopper: Stopper = as_stopper(self.stop, self.time_budget_s)

    @property
    def is_function(self) -> bool:
        return issubclass(self.trainable_class, FunctionTrainable)


def experiment_path(experiment: Experiment) -> Path:
    """Its directory. Without a name: a new one, or with resume the newest of this trainable."""
    storage = Path(experiment.storage_path or default_results_dir()).expanduser().absolute()
    if experiment.name:
        return storage / experiment.name
    prefix = experiment.trainable_name.replace("/", "_")
    if experiment.resume or experiment.resume_config is not None:
        found = [path for path in storage.glob(f"{prefix}_*") if Journal.path_in(path).exists()]
        if found:
            return max(found, key=lambda path: Journal.path_in(path).stat().st_mtime)
    path = storage / f"{prefix}_{datetime.now().strftime('%Y-%m-%d_%H-%M-%S')}"
    number = 1
    while path.exists():
        number += 1
        path = path.with_name(f"{prefix}_{datetime.now().strftime('%Y-%m-%d_%H-%M-%S')}-{number}")
    return path


def run_experiment(experiment: Experiment) -> ExperimentAnalysis:
    """Runs it to its end and gives the analysis. Ctrl-C: trials save themselves and it says how to go on."""
    began = time.time()
    init_for(_first_resources(experiment))
    _global_registry.flush()
    path = experiment_path(experiment)
    resume = goes_on(experiment.resume, experiment.resume_config, path)
    with claimed(path):
        return _run_in(experiment, path, resume, began)


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[None]:
    """The directory, made if it is not there, is this experiment's while it runs: ValueError where another process has
    it. The claim ends with its process, however that ends."""
    try:
        path.mkdir(parents=True)
        is_new = True
    except FileExistsError:
        is_new = False
    with contextlib.ExitStack() as claims:
        claims.enter_context(_locked(path, path))
        if is_new:
            # Directories and files of trials lie near it on the disk: in a place that takes them quickly.
            aside = path.with_name(f".{secrets.token_hex(4)}")
            make_directory(str(aside))
            claims.enter_context(_locked(aside, path))
            try:
                os.rename(aside, path)
            except OSError:  # who was quicker with the first claim has run there
                os.rmdir(aside)
        yield


@contextlib.contextmanager
def _locked(directory: Path, path: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"an experiment is running in {path}: give this one another name, or wait for that one's end"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _run_in(
    experiment: Experiment, path: Path, resume: ResumeConfig | None, began: float
) -> ExperimentAnalysis:
    if resume is None:
        _clear(path)
    searcher, scheduler = _searcher(experiment), _scheduler(experiment)
    journal = Journal.open(path)
    source = _source(experiment, searcher, path)
    reporter = experiment.reporter or default_reporter()
    callbacks = CallbackList(_callbacks(experiment))
    controller = TuneController(
        source=source,
        scheduler=scheduler,
        stopper=experiment.stopper,
        actors=TrialActors(
            experiment.trainable_class,
            checkpoint_every=experiment.checkpoint_freq,
            reuse=experiment.is_function
            if experiment.reuse_actors is None
            else experiment.reuse_actors,
            chdir=experiment.chdir,
            log_files=_log_files(experiment.log_to_file),
        ),
        state=ExperimentState(journal, callbacks.writer),
        callbacks=callbacks,
        resources=Resources(),
        max_failures=experiment.max_failures,
        fail_fast=experiment.fail_fast,
        checkpoint_at_end=experiment.checkpoint_at_end,
        # One process has one trial's function at a time.
        max_concurrent=1 if connection.local_mode is not None else experiment.max_concurrent,
        metric=experiment.metric,
        export_formats=experiment.export_formats,
    )
    if resume is not None:
        restore(resume, journal, controller, source, scheduler, callbacks)
    else:
        _keep_spec(experiment, journal)
    reporter.setup(began, controller.total_samples, experiment.metric, experiment.mode)
    callbacks.call(
        "setup",
        stop=experiment.stop,
        num_samples=experiment.num_samples,
        total_num_samples=controller.total_samples,
        time_budget_s=experiment.time_budget_s,
    )
    loop = _Loop(controller, scheduler, reporter if experiment.verbose else None, path)
    interrupted = loop.run()
    seconds = time.time() - began
    if experiment.verbose:
        print(
            f"Total run time: {seconds:.2f} seconds ({loop.seconds:.2f} seconds for the tuning loop).",
            flush=True,
        )
    if interrupted:
        _say_how_to_resume(experiment, path)
    return ExperimentAnalysis(
        controller.get_trials(), experiment.metric, experiment.mode, experiment_path=str(path)
    )


@contextlib.contextmanager
def _first_ctrl_c() -> Iterator[list[int]]:
    """A first Ctrl-C fills the list, for the loop to end behind the turn that it is in: no result is lost between two
    steps of its handling. A second one is KeyboardInterrupt at once. Where a program has a handler of its own, or this
    is not the main thread, nothing is changed."""
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if (
        threading.current_thread() is not threading.main_thread()
        or before is not signal.default_int_handler
    ):
        yield asked
        return

    def note(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


class _Loop:
    """Turns until the experiment has ended, with reports between them."""

    def __init__(
        self, controller: TuneController, scheduler: TrialScheduler, reporter: Any, path: Path
    ) -> None:
        self._controller, self._scheduler, self._reporter, self._path = (
            controller,
            scheduler,
            reporter,
            path,
        )
        self.seconds = 0.0

    def run(self) -> bool:
        """True: it was interrupted."""
        began, interrupted = time.monotonic(), False
        try:
            try:
                with _first_ctrl_c() as asked:
                    while not self._controller.is_finished() and not asked:
                        self._controller.step(TURN_SECONDS)
                        self._report(False)
                interrupted = bool(asked)
            except KeyboardInterrupt:
                interrupted = True
            self.seconds = time.monotonic() - began
            try:
                if interrupted:
                    print(_INTERRUPTED, file=sys.stderr, flush=True)
                    self._controller.interrupt(INTERRUPT_SECONDS_MAX)
                self._controller.finish()
            except KeyboardInterrupt:  # nobody waits for processes that are slow to end, then
                self._controller.finish(at_once=True)
                interrupted = True
            self._report(True)
        except BaseException as error:
            if error is not self._controller.failed_with:  # that has been finished
                self._controller.abandon()
            raise
        finally:
            if hasattr(self._reporter, "close"):
                self._reporter.close()
        return interrupted

    def _report(self, done: bool) -> None:
        trials = self._controller.get_trials()
        if self._reporter is None or not self._reporter.should_report(trials, done):
            return
        resources = self._controller.resources
        why = [
            text
            for trial in self._controller.pending_trials()
            if (text := resources.explain(trial))
        ][:1]
        self._reporter.report(
            trials,
            done,
            self._scheduler.debug_string(),
            resources.summary(),
            f"Result logdir: {self._path}",
            *why,
        )


def _first_resources(experiment: Experiment) -> Any:
    """What one trial will ask for, as far as that can be known before configs are drawn."""
    try:
        return resources_of(
            experiment.trainable_class, experiment.config, experiment.resources_per_trial
        )
    except (TypeError, KeyError, AttributeError):  # a function of settings that are not drawn yet
        return None


def _searcher(experiment: Experiment) -> Searcher:
    searcher = experiment.search_alg
    if isinstance(searcher, str):
        from ..search import create_searcher

        searcher = create_searcher(searcher, metric=experiment.metric, mode=experiment.mode)
    if searcher is None:
        searcher = BasicVariantGenerator()
    if not isinstance(searcher, Searcher):
        raise TuneError(
            f"search_alg must be a Searcher or the name of one, not {type(searcher).__name__}"
        )
    taken = searcher.set_search_properties(
        experiment.metric, experiment.mode, experiment.config, num_samples=experiment.num_samples
    )
    if not taken and has_unresolved(experiment.config):
        raise ValueError(
            f"{type(searcher).__name__} has a space of its own, and config has one, too: "
            "give it in one place"
        )
    return searcher


def _scheduler(experiment: Experiment) -> TrialScheduler:
    scheduler = experiment.scheduler
    if isinstance(scheduler, str):
        from ..schedulers import create_scheduler

        scheduler = create_scheduler(scheduler)
    if scheduler is None:
        scheduler = FIFOScheduler()
    if not isinstance(scheduler, TrialScheduler):
        raise TuneError(
            f"scheduler must be a TrialScheduler or the name of one, not {type(scheduler).__name__}"
        )
    if not scheduler.set_search_properties(experiment.metric, experiment.mode):
        raise ValueError(
            f"{type(scheduler).__name__} and the experiment both have a metric: give metric and mode in one place"
        )
    return scheduler


def _source(experiment: Experiment, searcher: Searcher, path: Path) -> TrialSource:
    return TrialSource(
        searcher,
        trainable=experiment.trainable_class,
        trainable_name=experiment.trainable_name,
        experiment_path=str(path),
        config=experiment.config,
        samples=experiment.num_samples,
        resources=experiment.resources_per_trial,
        new_checkpoints=lambda: CheckpointList(
            experiment.keep_checkpoints, experiment.checkpoint_score, experiment.checkpoint_order
        ),
        name_creator=experiment.trial_name_creator,
        dirname_creator=experiment.trial_dirname_creator,
        restore=_kept(experiment.restore, path),
    )


def _kept(restore: Any, path: Path) -> Any:
    """Where trials begin, as a path that is there as long as the experiment is."""
    if isinstance(restore, Checkpoint) and restore.is_temporary:
        return restore.to_directory(path / ".restore")
    return restore


def _callbacks(experiment: Experiment) -> list[Callback]:
    """The program's, then the loggers that it has not brought itself, then what prints."""
    own = list(experiment.callbacks)
    for callback in own:
        if not isinstance(callback, Callback):
            raise ValueError(f"callbacks must be instances of tune.Callback, not {callback!r}")
    kinds: list[type[LoggerCallback]] = [JsonLoggerCallback, CSVLoggerCallback]
    if is_wanted():
        kinds.append(TBXLoggerCallback)
    off = os.environ.get("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS") == "1"
    chosen: list[Any] = [] if off else kinds
    if experiment.loggers is not None:
        chosen = list(experiment.loggers)
    loggers: list[LoggerCallback] = [
        kind if isinstance(kind, LoggerCallback) else kind()
        for kind in chosen
        if not any(isinstance(callback, kind) for callback in own if isinstance(kind, type))
    ]
    printing: list[Callback] = (
        [ResultPrinter(experiment.verbose)] if experiment.verbose >= 2 else []
    )
    return [*own, *loggers, *printing]


def _log_files(log_to_file: Any) -> tuple[str, str] | None:
    if not log_to_file:
        return None
    if log_to_file is True:
        return "stdout", "stderr"
    if isinstance(log_to_file, str):
        return log_to_file, log_to_file
    if isinstance(log_to_file, (list, tuple)) and len(log_to_file) == 2:
        return log_to_file[0], log_to_file[1]
    raise ValueError("log_to_file is True, a file's name, or two of them (stdout, stderr)")


def _clear(path: Path) -> None:
    """An older experiment of this name stays; only its journal, which would be mixed up, goes aside."""
    journal = Journal.path_in(path)
    if not journal.exists():
        return
    aside = path / f"before-{datetime.now().strftime('%Y-%m-%d_%H-%M-%S')}"
    aside.mkdir(parents=True, exist_ok=True)
    for file in path.glob(f"{journal.name}*"):
        shutil.move(str(file), aside / file.name)


def _keep_spec(experiment: Experiment, journal: Journal) -> None:
    about = {
        "trainable": experiment.trainable_name,
        "metric": experiment.metric,
        "mode": experiment.mode,
    }
    writes = [journal_value("about", cloudpickle.dumps(about))]
    if experiment.to_restore is not None:
        writes.append(journal_value("tuner", experiment.to_restore))
    journal.write(writes)


def _say_how_to_resume(experiment: Experiment, path: Path) -> None:
    if experiment.to_restore is not None:
        how = f'Tuner.restore("{path}", trainable=...).fit()'
    else:
        where = "" if experiment.storage_path is None else f', storage_path="{path.parent}"'
        how = f'tune.run(..., name="{path.name}"{where}, resume=True)'
    print(f"The experiment was interrupted. It goes on with {how}", flush=True)
