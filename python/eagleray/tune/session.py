"""What a trainable function may ask and say while it runs: results, checkpoints, and who it is.

One session per process at a time. Follows `tune.report(**metrics)` of 2020, `session.report(metrics, checkpoint=)` of
2022 and `tune.report(metrics, checkpoint=)` of today.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _scratch
from .checkpoint import Checkpoint
from .result import DEFAULT_METRIC

_logger = logging.getLogger("eagleray.tune")


@dataclass(frozen=True)
class TrialInfo:
    """Who a trial is, as its process knows it."""

    trial_id: str
    trial_name: str
    logdir: str
    experiment_name: str = ""
    experiment_path: str = ""
    resources: Any = None


class Ended(SystemExit):
    """Leaves a function, or a thread that it has left behind, at its next report(): nobody wants results any more. A
    SystemExit, so that a thread ends of it without a word."""


class Session:
    """What one running function is bound to. `deliver(metrics, checkpoint)` hands a result to Tune and returns when
    the next step may begin. Threads that were there before the function began are not its own."""

    def __init__(self, info: TrialInfo | None, checkpoint: Checkpoint | None, deliver: Any) -> None:
        self.info = info
        self.checkpoint = checkpoint
        self.deliver = deliver
        self.written: Checkpoint | None = None  # by checkpoint_dir(), for the next report
        self._before = weakref.WeakSet(threading.enumerate())
        self._before.discard(threading.current_thread())

    def refuse_strangers(self) -> None:
        """Ended: the thread that reports was started by an earlier trial of this process."""
        if threading.current_thread() in self._before:
            drop_late("of a trial that was here before")


_session: Session | None = None
_warned = False
_warned_late = False


def drop_late(whose: str) -> None:
    """Ends the thread whose report nobody wants; says so once."""
    global _warned_late
    if not _warned_late:
        _warned_late = True
        _logger.warning(
            "tune.report() was called by a thread %s, whose function has ended: the result is dropped, and the thread "
            "ends. A function should join its threads before it returns",
            whose,
        )
    raise Ended


def bind(session: Session | None) -> None:
    """Makes `session` that of this process."""
    global _session
    _session = session


def get_session() -> Session | None:
    return _session


def report(metrics: Any = None, *, checkpoint: Any = None, **kwargs: Any) -> None:
    """Tells Tune a result and waits until it has been taken.

    metrics: a dictionary, or one number; or keywords: `report(loss=0.1)`. checkpoint: a Checkpoint, whose files are
    copied into the trial's directory. Outside of a trial it does nothing but warn once.
    """
    global _warned
    if metrics is not None and not isinstance(metrics, dict):
        metrics = {DEFAULT_METRIC: metrics}
    merged = {**(metrics or {}), **kwargs}
    if _session is None:
        if not _warned:
            _warned = True
            _logger.warning("tune.report() was called outside of a trial: the result goes nowhere")
        return
    _session.refuse_strangers()
    if checkpoint is None and _session.written is not None:
        checkpoint, _session.written = _session.written, None
    if isinstance(checkpoint, dict):
        checkpoint = Checkpoint.from_dict(checkpoint)
        checkpoint.made_for_report = True
    elif isinstance(checkpoint, (str, os.PathLike)):
        checkpoint = Checkpoint.from_directory(checkpoint)
    elif checkpoint is not None:
        raise TypeError(f"checkpoint must be a Checkpoint, not {type(checkpoint).__name__}")
    _session.deliver(merged, checkpoint)


def get_checkpoint() -> Checkpoint | None:
    """The checkpoint to go on from, or None at a fresh start."""
    return _session.checkpoint if _session is not None else None


@contextlib.contextmanager
def checkpoint_dir(step: int) -> Iterator[str]:
    """The form of 2020: files written into this directory are the checkpoint of the next report(). Outside of a trial
    they are there until the program ends."""
    if _session is None or _session.info is None:
        yield _scratch.new()
        return
    directory = Path(tempfile.mkdtemp(prefix=f".reported_{step:06d}.", dir=_session.info.logdir))
    yield str(directory)
    _session.written = Checkpoint(str(directory))
    _session.written.made_for_report = True


def get_trial_id() -> str | None:
    return _info("trial_id")


def get_trial_name() -> str | None:
    return _info("trial_name")


def get_trial_dir() -> str | None:
    """The trial's directory, for files of its own."""
    return _info("logdir")


def get_trial_resources() -> Any:
    """The PlacementGroupFactory that the trial runs in."""
    return _info("resources")


def get_experiment_name() -> str | None:
    return _info("experiment_name")


def get_world_rank() -> int:
    return 0


def get_world_size() -> int:
    return 1


def get_local_rank() -> int:
    return 0


def _info(name: str) -> Any:
    return getattr(_session.info, name, None) if _session is not None else None


def is_session_enabled() -> bool:
    """Whether this process runs a trainable function."""
    return _session is not None


class TuneContext:
    """The answers of this module as methods; `tune.get_context()` gives it."""

    get_trial_id = staticmethod(get_trial_id)
    get_trial_name = staticmethod(get_trial_name)
    get_trial_dir = staticmethod(get_trial_dir)
    get_trial_resources = staticmethod(get_trial_resources)
    get_experiment_name = staticmethod(get_experiment_name)
    get_world_rank = staticmethod(get_world_rank)
    get_world_size = staticmethod(get_world_size)
    get_local_rank = staticmethod(get_local_rank)


def get_context() -> TuneContext:
    return TuneContext()


def accepts(function: Any, *names: str) -> bool:
    """Whether a function has a parameter of one of these names."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return any(name in parameters for name in names)
