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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


class Session:
    """What one running function is bound to. `deliver(metrics, checkpoint)` hands a result to Tune and returns when
    the next step may begin."""

    def __init__(self, info: TrialInfo | None, checkpoint: Checkpoint | None, deliver: Any) -> None:
        self.info = info
        self.checkpoint = checkpoint
        self.deliver = deliver
        self.written: Checkpoint | None = None  # by checkpoint_dir(), for the next report


_session: Session | None = None
_warned = False


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
    if checkpoint is None and _session.written is not None:
        checkpoint, _session.written = _session.written, None
    if isinstance(checkpoint, (str, os.PathLike)):
        checkpoint = Checkpoint.from_directory(checkpoint)
    elif isinstance(checkpoint, dict):
        checkpoint = Checkpoint.from_dict(checkpoint)
        checkpoint.made_for_report = True
    elif checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        raise TypeError(f"checkpoint must be a Checkpoint, not {type(checkpoint).__name__}")
    _session.deliver(merged, checkpoint)


def get_checkpoint() -> Checkpoint | None:
    """The checkpoint to go on from, or None at a fresh start."""
    return _session.checkpoint if _session is not None else None


@contextlib.contextmanager
def checkpoint_dir(step: int) -> Iterator[str]:
    """The form of 2020: files written into this directory are the checkpoint of the next report()."""
    if _session is None or _session.info is None:
        yield tempfile.mkdtemp(prefix="eagleray_checkpoint_")
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
