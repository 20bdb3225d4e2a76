"""What an experiment keeps on disk to be resumed, and what it was kept from.

Writes gather in the journal and are committed once a turn of the controller's loop, before files that the new state no
longer needs are removed. The states of searcher, scheduler and callbacks grow with the experiment, so they are kept as
often as that costs at most a twentieth of the time; what happened after the last one is in the trials' rows.
"""

from __future__ import annotations

import json
import logging
import pickle
import sqlite3
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eagleray import cloudpickle

from ..experiment.trial import Trial
from ..result import ERROR_FILE
from ..utils import to_json
from .journal import Journal

_logger = logging.getLogger("eagleray.tune")
STATE_COST_MAX = 0.05  # of the time goes into keeping states
RETRY_SECONDS = 1.0  # between attempts to write to a full disk
UNWRITTEN_RESULTS_MAX = 100_000  # that wait for a full disk; older ones are given up
_KEPT = (
    "trainable_name", "trial_id", "config", "evaluated_params", "number", "experiment_tag", "status",
    "num_failures", "error_message", "start_time", "end_time", "custom_name", "date", "dirname",
    "checkpoints", "placement_group_factory", "restore_from", "local_experiment_path",
)  # fmt: skip


class ExperimentState:
    """Writes the journal for the controller. A full disk does not end the trials: it is said once, and what cannot be
    written is tried again with each turn."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._changed: dict[str, Trial] = {}
        self._results: list[tuple[str, int, str]] = []
        self._after: list[Callable[[], None]] = []
        self._next_state = 0.0
        self._failing = False
        self._retry_at = 0.0

    def changed(self, trial: Trial) -> None:
        """The trial's row is written with the next commit."""
        self._changed[trial.trial_id] = trial

    def result(self, trial: Trial, result: dict[str, Any]) -> None:
        text = to_json.dumps({key: value for key, value in result.items() if key != "config"})
        self._results.append((trial.trial_id, trial.reported, text))

    def after_commit(self, what: Callable[[], None]) -> None:
        """Does it when what has been written so far is durable."""
        self._after.append(what)

    def rewind(self, trial: Trial, reported: int) -> list[dict[str, Any]]:
        """Forgets all but the first `reported` results of a trial; gives these."""
        self.commit()
        unwritten = [
            one for one in self._results if one[0] == trial.trial_id and one[1] <= reported
        ]
        self._results = [one for one in self._results if one[0] != trial.trial_id]
        try:
            self._journal.drop_results_after(trial.trial_id, reported)
        except sqlite3.OperationalError as error:
            self._cannot_write(error)
        self._results += unwritten
        self.commit()
        results = list(self._journal.results(trial.trial_id))[:reported]
        results += [json.loads(text) for _, number, text in unwritten if number > len(results)]
        replay(trial, results)
        return results

    def write_error(self, trial: Trial, error: BaseException) -> None:
        """error.txt in the trial's directory: every failure, with its traceback."""
        try:
            with open(Path(trial.local_path) / ERROR_FILE, "a", errors="backslashreplace") as file:
                stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
                file.write(f"Failure # {trial.num_failures} (occurred at {stamp})\n")
                file.write("".join(traceback.format_exception(error)))
        except OSError as problem:
            _logger.error("the error of %s cannot be written: %s", trial, problem)

    def keep(self, source: Any, scheduler: Any, callbacks: Any, at_once: bool = False) -> None:
        """Commits; and keeps the states where it is time for that."""
        began = time.monotonic()
        if at_once or began >= self._next_state:
            self._keep_states(source, scheduler, callbacks)
            self._next_state = time.monotonic() + (time.monotonic() - began) / STATE_COST_MAX
        self.commit()

    def _keep_states(self, source: Any, scheduler: Any, callbacks: Any) -> None:
        states = {
            "source": source.get_state,
            "scheduler": scheduler.get_state,
            "callbacks": callbacks.get_state,
        }
        for key, get_state in states.items():
            try:
                self._journal.put(f"state:{key}", cloudpickle.dumps(get_state()))
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                _logger.debug("the state of the %s cannot be kept: %s", key, error)
            except sqlite3.OperationalError as error:
                self._cannot_write(error)
                return

    def commit(self) -> None:
        """Makes everything so far durable."""
        if self._failing and time.monotonic() < self._retry_at:
            return
        if not (self._changed or self._results or self._after or self._journal.is_open):
            return
        try:
            for trial in self._changed.values():
                self._put(trial)
            for trial_id, number, text in self._results:
                self._journal.put_result(trial_id, number, text)
            self._journal.commit()
        except sqlite3.OperationalError as error:  # a full disk
            self._cannot_write(error)
            return
        self._changed.clear()
        self._results.clear()
        after, self._after = self._after, []
        for what in after:
            what()
        if self._failing:
            self._failing = False
            _logger.warning(
                "the journal of the experiment is written again, nothing is missing in it"
            )

    def _cannot_write(self, error: Exception) -> None:
        self._journal.rollback()
        self._retry_at = time.monotonic() + RETRY_SECONDS
        del self._results[:-UNWRITTEN_RESULTS_MAX]
        if not self._failing:
            self._failing = True
            _logger.error(
                "the journal of the experiment cannot be written (%s): until it can, the experiment cannot be "
                "resumed behind this point. The trials go on. Is the disk full?",
                error,
            )

    def _put(self, trial: Trial) -> None:
        state = {name: getattr(trial, name) for name in _KEPT}
        self._journal.put_trial(
            trial.trial_id,
            trial.number,
            _printable(trial.trial_name) or "",
            trial.status,
            _pickled(state),
            to_json.dumps(trial.config),
            _printable(trial.error_message),
        )

    def close(self) -> None:
        self._retry_at = 0.0
        self.commit()
        self._journal.close()


def _pickled(state: dict[str, Any]) -> bytes:
    """By reference where that will still mean the same: not for what __main__ or a function has defined."""
    try:
        blob = pickle.dumps(state, protocol=5)
    except Exception:
        blob = b"__main__"
    if b"__main__" not in blob:
        return blob
    try:
        return cloudpickle.dumps(state)
    except (
        Exception
    ):  # its process cannot be sent it either: the trial fails of it, and is kept without
        return cloudpickle.dumps({**state, "config": {}, "evaluated_params": {}})


def _printable(text: str | None) -> str | None:
    """Without what UTF-8 has no form for: halves of surrogates, from undecodable file names."""
    return text.encode(errors="backslashreplace").decode() if text is not None else None


def load_trials(journal: Journal, directory: Path) -> list[Trial]:
    """The trials that the journal of this directory holds, with what they have reported. An experiment may have been
    moved since it ran."""
    trials = []
    for trial_id, _, _, _, blob, _, _ in journal.trials():
        state = pickle.loads(blob)
        trial = Trial(
            state["trainable_name"],
            trial_id=trial_id,
            config=state["config"],
            resolved=state["evaluated_params"],
            number=state["number"],
            experiment_path=state["local_experiment_path"],
            resources=state["placement_group_factory"],
        )
        for name, value in state.items():
            setattr(trial, name, value)
        if trial.local_experiment_path != str(directory):
            _move(trial, trial.local_experiment_path, str(directory))
        replay(trial, list(journal.results(trial_id)))
        trials.append(trial)
    return trials


def _move(trial: Trial, old: str, new: str) -> None:
    trial.local_experiment_path = new
    for one in (*(kept.checkpoint for kept in trial.checkpoints.kept), trial.restore_from):
        if one is not None and one.path.startswith(f"{old}/"):
            one.path = new + one.path[len(old) :]


def replay(trial: Trial, results: list[dict[str, Any]]) -> None:
    """Makes a trial know exactly these results."""
    trial.last_result, trial.metric_analysis, trial.reported = {}, {}, 0
    for result in results:
        result["config"] = trial.config
        trial.update_last_result(result)
        trial.reported += 1
