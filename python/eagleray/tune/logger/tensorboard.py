"""TensorBoard's event files, written by tensorboardX or, without that, torch's writer. Follows Ray's layout."""

from __future__ import annotations

import importlib.util
import logging
import math
from typing import Any

from ..result import TIMESTEPS_TOTAL, TRAINING_ITERATION
from ..utils.flatten import flatten
from ..utils.writer import AT_ONCE
from .logger import LoggerCallback

_logger = logging.getLogger("eagleray.tune")
_LEFT_OUT = ("config", "pid", "timestamp", "done", "training_iteration")


def find_writer() -> Any:
    """The module that has a SummaryWriter; None: neither is installed. Nothing is imported to find out."""
    if importlib.util.find_spec("tensorboardX") is not None:
        return "tensorboardX"
    if (
        importlib.util.find_spec("tensorboard") is not None
        and importlib.util.find_spec("torch") is not None
    ):
        return "torch.utils.tensorboard"
    return None


class TBXLoggerCallback(LoggerCallback):
    """Every number of each result, under `ray/tune/<path>`, at its time step; at the end the settings with the last
    numbers. ImportError: neither tensorboardX nor torch with tensorboard is installed."""

    reads_files = False

    def __init__(self) -> None:
        name = find_writer()
        if name is None:
            raise ImportError("TBXLoggerCallback needs tensorboardX: pip install tensorboardX")
        self._writer_class = importlib.import_module(name).SummaryWriter
        self._writers: dict[str, Any] = {}  # the writer's thread's
        self._last: dict[str, dict[str, Any]] = {}
        self._writer: Any = AT_ONCE

    def use_writer(self, writer: Any) -> None:
        """The experiment's, for what need not be waited for."""
        self._writer = writer

    def log_trial_start(self, trial: Any) -> None:
        self._writer.do(self, self._open, trial.trial_id, trial.local_path)

    def _open(self, trial_id: str, path: str) -> None:
        self._close(trial_id)
        self._writers[trial_id] = self._writer_class(path, flush_secs=30)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        step = result.get(TIMESTEPS_TOTAL) or result[TRAINING_ITERATION]
        numbers = {}
        for name, value in flatten(result, leave_out=_LEFT_OUT).items():
            if (
                isinstance(value, bool)
                or not hasattr(value, "__float__")
                or getattr(value, "shape", None)
            ):
                continue
            number = float(value)
            if not math.isnan(number):
                numbers[f"ray/tune/{name}"] = number
        self._last[trial.trial_id] = numbers
        self._writer.do(self, self._add, trial.trial_id, numbers, step)

    def _add(self, trial_id: str, numbers: dict[str, float], step: int) -> None:
        writer = self._writers.get(trial_id)
        if writer is None:
            return  # it could not be opened on a full disk
        for name, number in numbers.items():
            writer.add_scalar(name, number, global_step=step)
        writer.flush()

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        numbers = self._last.pop(trial.trial_id, {})
        settings = {
            path: value if isinstance(value, (int, float, str, bool)) else str(value)
            for path, value in trial.evaluated_params.items()
        }
        self._writer.do(self, self._end, trial.trial_id, settings, numbers)

    def _end(self, trial_id: str, settings: dict[str, Any], numbers: dict[str, float]) -> None:
        writer = self._writers.get(trial_id)
        if writer is not None and settings and numbers:
            try:
                writer.add_hparams(settings, numbers, name="hparams")
            except TypeError:  # torch's writer names it otherwise
                writer.add_hparams(settings, numbers, run_name="hparams")
        self._close(trial_id)

    def _close(self, trial_id: str) -> None:
        writer = self._writers.pop(trial_id, None)
        if writer is not None:
            writer.close()


TBXLogger = TBXLoggerCallback
