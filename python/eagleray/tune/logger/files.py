"""result.json, progress.csv, params.json and params.pkl in each trial's directory. Follows Ray's layout.

A result costs one write to each file; files are open as long as their trial runs. The writes are done by the
experiment's writer (`trial_files`), before the journal's transaction of the same turn.
"""

from __future__ import annotations

import csv
import json
import os
from typing import Any

from ..result import PARAMS_FILE, PARAMS_PICKLE_FILE, PROGRESS_FILE, RESULT_FILE
from ..utils import pickles, to_json
from ..utils.flatten import flatten
from .logger import LoggerCallback
from .trial_files import TrialFiles


class _FileLogger(LoggerCallback):
    """A logger that keeps one file for each trial."""

    reads_files = False
    _name: str

    @property
    def files(self) -> TrialFiles:
        """Made when it is needed, for subclasses that do not call __init__."""
        made: TrialFiles = self.__dict__.setdefault("_files", TrialFiles(self))
        return made

    def use_writer(self, writer: Any) -> None:
        """The experiment's, for what need not be waited for."""
        self.files.writer = writer

    def _path(self, trial: Any) -> str:
        return f"{trial.local_path}/{self._name}"

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        self.files.close(self._path(trial))


class JsonLoggerCallback(_FileLogger):
    """One line of JSON for each result, and the trial's config as JSON and pickle."""

    _name = RESULT_FILE

    @property
    def _written(self) -> dict[str, str]:
        """The configs that are in params.json, of trials that live."""
        return self.__dict__.setdefault("_configs", {})

    def log_trial_start(self, trial: Any) -> None:
        self.files.open(self._path(trial))
        self.update_config(trial, trial.config)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        known = self._written.get(trial.trial_id)
        super().on_trial_start(iteration, trials, trial, **info)
        if known is not None and known != trial.config_json(again=True):
            self.update_config(trial, trial.config)  # a scheduler has changed it

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        body = trial.result_json(result)
        config = self._written.get(trial.trial_id)
        if config is None:
            config = self._written[trial.trial_id] = to_json.dumps(trial.config)
        self.files.append(self._path(trial), f'{body[:-1]}, "config": {config}}}\n')

    def log_trial_rewind(self, trial: Any, results: list[dict[str, Any]]) -> None:
        if os.path.exists(self._path(trial)):
            self.files.replace(
                self._path(trial), "".join(to_json.dumps(result) + "\n" for result in results)
            )

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        self._written.pop(trial.trial_id, None)
        super().log_trial_end(trial, failed)

    def update_config(self, trial: Any, config: dict[str, Any]) -> None:
        """Writes the config again, after a scheduler has changed it."""
        same = config is trial.config
        self._written[trial.trial_id] = trial.config_json() if same else to_json.dumps(config)
        text = to_json.dumps(config, indent=2, sort_keys=True)
        self.files.replace(f"{trial.local_path}/{PARAMS_FILE}", text)
        self.files.replace(f"{trial.local_path}/{PARAMS_PICKLE_FILE}", pickles.dumps(config))


class CSVLoggerCallback(_FileLogger):
    """One row for each result, nested fields by their path. The columns are those of the first result."""

    _name = PROGRESS_FILE

    @property
    def _columns(self) -> dict[str, list[str]]:
        """Of trials that have reported."""
        return self.__dict__.setdefault("_columns_of", {})

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        row = _row(result)
        columns = self._columns.get(trial.trial_id)
        text = ""
        if columns is None:
            columns = _columns_in(self._path(trial)) if trial.reported > 1 else None
            if not columns:
                columns = list(row)
                text = _line(columns)
            self._columns[trial.trial_id] = columns
        self.files.append(self._path(trial), text + _line([row.get(one, "") for one in columns]))

    def log_trial_rewind(self, trial: Any, results: list[dict[str, Any]]) -> None:
        self._columns.pop(trial.trial_id, None)
        if not os.path.exists(self._path(trial)):
            return
        text = ""
        if results:
            rows = [_row(result) for result in results]
            columns = self._columns[trial.trial_id] = list(rows[0])
            text = _line(columns)
            text += "".join(_line([row.get(one, "") for one in columns]) for row in rows)
        self.files.replace(self._path(trial), text)

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        self._columns.pop(trial.trial_id, None)
        super().log_trial_end(trial, failed)


class _Lines:
    """csv writes into it; what it has written is taken."""

    def __init__(self) -> None:
        self._writer = csv.writer(self)
        self._last = ""

    def write(self, text: str) -> None:
        self._last = text

    def of(self, values: list[Any]) -> str:
        self._writer.writerow(values)
        return self._last


_line = _Lines().of


def _columns_in(path: str) -> list[str]:
    """The header of a file that is there: a trial goes on with its columns."""
    try:
        with open(path, newline="", errors="backslashreplace") as file:
            return next(csv.reader(file), [])
    except OSError:
        return []


def _row(result: dict[str, Any]) -> dict[str, Any]:
    row = flatten(result, leave_out=("config",))
    for name, value in row.items():
        if isinstance(value, (dict, list)):
            row[name] = json.dumps(value, default=to_json.plain)
    return row
