"""TensorBoard's event files, written by tensorboardX or, without that, torch's writer. Follows Ray's layout."""

from __future__ import annotations

import importlib.util
import logging
import math
from typing import Any

from ..result import TIMESTEPS_TOTAL, TRAINING_ITERATION
from ..utils.flatten import flatten
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

    def __init__(self) -> None:
        name = find_writer()
        if name is None:
            raise ImportError("TBXLoggerCallback needs tensorboardX: pip install tensorboardX")
        self._writer_class = importlib.import_module(name).SummaryWriter
        self._writers: dict[str, Any] = {}
        self._last: dict[str, dict[str, Any]] = {}

    def log_trial_start(self, trial: Any) -> None:
        self._close(trial)
        self._writers[trial.trial_id] = self._writer_class(trial.local_path, flush_secs=30)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        step = result.get(TIMESTEPS_TOTAL) or result[TRAINING_ITERATION]
        writer = self._writers[trial.trial_id]
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
                writer.add_scalar(f"ray/tune/{name}", number, global_step=step)
        self._last[trial.trial_id] = numbers
        writer.flush()

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        writer, numbers = self._writers.get(trial.trial_id), self._last.pop(trial.trial_id, {})
        if writer is not None and trial.evaluated_params and numbers:
            settings = {
                "/".join(map(str, path)): value
                if isinstance(value, (int, float, str, bool))
                else str(value)
                for path, value in trial.evaluated_params.items()
            }
            try:
                writer.add_hparams(settings, numbers, name="hparams")
            except TypeError:  # torch's writer names it otherwise
                writer.add_hparams(settings, numbers, run_name="hparams")
        self._close(trial)

    def _close(self, trial: Any) -> None:
        writer = self._writers.pop(trial.trial_id, None)
        if writer is not None:
            writer.close()


TBXLogger = TBXLoggerCallback
