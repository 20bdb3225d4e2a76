"""TensorBoard's event files. Follows Ray's names, steps and layout."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

from ..result import TIMESTEPS_TOTAL, TRAINING_ITERATION
from ..utils.event_file import EventFile
from ..utils.flatten import flatten
from ..utils.writer import AT_ONCE
from .logger import LoggerCallback

_LEFT_OUT = ("config", "pid", "timestamp", "done", "training_iteration")


def is_wanted() -> bool:
    """Whether there is something that reads event files. Nothing is imported to find out."""
    return any(
        importlib.util.find_spec(name) is not None for name in ("tensorboardX", "tensorboard")
    )


class TBXLoggerCallback(LoggerCallback):
    """Every number of each result, under `ray/tune/<path>`, at its time step; at the end the settings with the last
    numbers. It needs no package; in Ray it needs tensorboardX."""

    reads_files = False

    def __init__(self) -> None:
        self._files: dict[str, EventFile] = {}  # the writer's thread's
        self._last: dict[str, dict[str, Any]] = {}
        self._writer: Any = AT_ONCE

    def use_writer(self, writer: Any) -> None:
        """The experiment's, for what need not be waited for."""
        self._writer = writer

    def log_trial_start(self, trial: Any) -> None:
        self._writer.do(self, self._open, trial.trial_id, trial.local_path)

    def _open(self, trial_id: str, path: str) -> None:
        self._close(trial_id)
        self._files[trial_id] = EventFile(path)

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
        file = self._files.get(trial_id)
        if file is not None:  # else it could not be opened on a full disk
            file.add(numbers, step)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        numbers = self._last.pop(trial.trial_id, {})
        settings = {
            path: value if isinstance(value, (int, float, str, bool)) else str(value)
            for path, value in trial.evaluated_params.items()
        }
        self._writer.do(self, self._end, trial.trial_id, settings, numbers)

    def _end(self, trial_id: str, settings: dict[str, Any], numbers: dict[str, float]) -> None:
        file = self._files.get(trial_id)
        if file is not None and settings and numbers:
            file.add_settings(settings, numbers)
        self._close(trial_id)

    def _close(self, trial_id: str) -> None:
        file = self._files.pop(trial_id, None)
        if file is not None:
            file.close()


TBXLogger = TBXLoggerCallback
