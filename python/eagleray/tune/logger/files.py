"""result.json, progress.csv, params.json and params.pkl in each trial's directory. Follows Ray's layout.

A result costs one write to each file; files are open as long as their trial runs.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any, TextIO

from eagleray import cloudpickle

from ..result import PARAMS_FILE, PARAMS_PICKLE_FILE, PROGRESS_FILE, RESULT_FILE
from ..utils import to_json
from ..utils.flatten import flatten
from .logger import LoggerCallback


class JsonLoggerCallback(LoggerCallback):
    """One line of JSON for each result, and the trial's config as JSON and pickle."""

    def __init__(self) -> None:
        self._files: dict[str, TextIO] = {}
        self._configs: dict[str, str] = {}

    def log_trial_start(self, trial: Any) -> None:
        self._close(trial)
        if not os.path.isdir(trial.local_path):
            os.makedirs(trial.local_path)
        self.update_config(trial, trial.config)
        self._files[trial.trial_id] = open(f"{trial.local_path}/{RESULT_FILE}", "a", buffering=1)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        known = self._configs.get(trial.trial_id)
        super().on_trial_start(iteration, trials, trial, **info)
        if known is not None and known != to_json.dumps(trial.config):
            self.update_config(trial, trial.config)  # a scheduler has changed it

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        config = self._configs.get(trial.trial_id)
        if config is None:
            config = self._configs[trial.trial_id] = to_json.dumps(trial.config)
        body = to_json.dumps({key: value for key, value in result.items() if key != "config"})
        file = self._files.get(trial.trial_id)
        if file is not None:  # it could not be opened on a full disk
            file.write(f'{body[:-1]}, "config": {config}}}\n')

    def log_trial_rewind(self, trial: Any, results: list[dict[str, Any]]) -> None:
        self._close(trial)
        path = Path(trial.local_path) / RESULT_FILE
        if path.exists():
            path.write_text("".join(to_json.dumps(result) + "\n" for result in results))

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        self._close(trial)

    def update_config(self, trial: Any, config: dict[str, Any]) -> None:
        """Writes the config again, after a scheduler has changed it."""
        self._configs[trial.trial_id] = to_json.dumps(config)
        with open(f"{trial.local_path}/{PARAMS_FILE}", "w") as file:
            file.write(to_json.dumps(config, indent=2, sort_keys=True))
        with open(f"{trial.local_path}/{PARAMS_PICKLE_FILE}", "wb") as pickled:
            pickled.write(cloudpickle.dumps(config))

    def _close(self, trial: Any) -> None:
        self._configs.pop(trial.trial_id, None)
        file = self._files.pop(trial.trial_id, None)
        if file is not None:
            file.close()


class CSVLoggerCallback(LoggerCallback):
    """One row for each result, nested fields by their path. The columns are those of the first result."""

    def __init__(self) -> None:
        self._files: dict[str, TextIO] = {}
        self._writers: dict[str, Any] = {}

    def log_trial_start(self, trial: Any) -> None:
        self._close(trial)
        if not os.path.isdir(trial.local_path):
            os.makedirs(trial.local_path)
        file = open(
            f"{trial.local_path}/{PROGRESS_FILE}",
            "a+",
            buffering=1,
            newline="",
            errors="backslashreplace",
        )
        self._files[trial.trial_id] = file
        if file.tell():  # it goes on: with the columns that are there
            file.seek(0)
            self._writers[trial.trial_id] = _writer(file, next(csv.reader(file), []))
            file.seek(0, os.SEEK_END)

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        row = _row(result)
        if trial.trial_id not in self._files:
            return  # it could not be opened on a full disk
        writer = self._writers.get(trial.trial_id)
        if writer is None:
            writer = self._writers[trial.trial_id] = _writer(self._files[trial.trial_id], list(row))
            writer.writeheader()
        writer.writerow(row)

    def log_trial_rewind(self, trial: Any, results: list[dict[str, Any]]) -> None:
        self._close(trial)
        path = Path(trial.local_path) / PROGRESS_FILE
        if not path.exists():
            return
        with open(path, "w", newline="") as file:
            if results:
                writer = _writer(file, list(_row(results[0])))
                writer.writeheader()
                writer.writerows(map(_row, results))

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        self._close(trial)

    def _close(self, trial: Any) -> None:
        self._writers.pop(trial.trial_id, None)
        file = self._files.pop(trial.trial_id, None)
        if file is not None:
            file.close()


def _writer(file: TextIO, columns: list[str]) -> Any:
    return csv.DictWriter(file, columns, extrasaction="ignore", restval="")


def _row(result: dict[str, Any]) -> dict[str, Any]:
    row = flatten(result)
    return {
        name: json.dumps(value, default=to_json.plain) if isinstance(value, (dict, list)) else value
        for name, value in row.items()
    }
