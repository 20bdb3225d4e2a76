"""What an experiment keeps on disk to be resumed, and what it was kept from.

Changes gather and are committed once a turn of the controller's loop, by the writer's thread: behind the loggers' lines
of the same turn, before files that the new state no longer needs are removed. The states of searcher, scheduler and
callbacks grow with the experiment, so they are kept as often as that costs at most a twentieth of the time; what
happened after the last one is in the trials' rows.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import sqlite3
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eagleray import cloudpickle

from ..checkpoint import Checkpoint
from ..experiment.checkpoints import Kept
from ..experiment.trial import Trial
from ..result import ERROR_FILE, ERROR_PICKLE_FILE
from ..utils import pickles
from ..utils.writer import Writer
from . import journal as writes
from .journal import Journal, Life, Write

_logger = logging.getLogger("eagleray.tune")
STATE_COST_MAX = 0.05  # of the time goes into keeping states
RETRY_SECONDS = 1.0  # between attempts to write to a full disk
UNWRITTEN_MAX = 100_000  # changes that wait for a full disk; then older results are given up
_SPEC = (
    "trainable_name", "trial_id", "config", "evaluated_params", "number", "experiment_tag", "custom_name", "date",
    "dirname", "placement_group_factory", "local_experiment_path",
)  # fmt: skip
_MAY_CHANGE = ("config", "evaluated_params", "experiment_tag", "placement_group_factory")


class _Ledger:
    """The journal, as the writer's thread has it. A full disk does not end the trials: it is said once, and what cannot
    be written is tried again with each turn."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._waiting: list[Write] = []
        self._after: list[Callable[[], None]] = []
        self.failing = False
        self._retry_at = 0.0

    def take(self, changes: list[Write], after: list[Callable[[], None]], now: bool) -> None:
        """Takes changes, and what is to follow when they are written. now: also when that has just failed."""
        self._waiting += changes
        self._after += after
        if now:
            self._retry_at = 0.0

    def write(self) -> None:
        """Writes what has been taken, in one transaction, and does what is to follow."""
        if self.failing and time.monotonic() < self._retry_at:
            return
        try:
            if self._waiting:
                self.journal.write(self._waiting)
        except sqlite3.OperationalError as error:
            self._cannot_write(error)
            return
        self._waiting = []
        done, self._after = self._after, []
        for what in done:
            try:
                what()
            except OSError as error:
                _logger.warning("what the experiment needs no longer stays on disk: %s", error)
        if self.failing:
            self.failing = False
            _logger.warning(
                "the journal of the experiment is written again, nothing is missing in it"
            )

    def _cannot_write(self, error: Exception) -> None:
        self._retry_at = time.monotonic() + RETRY_SECONDS
        too_many = len(self._waiting) - UNWRITTEN_MAX
        if too_many > 0:
            self._waiting = [
                one
                for index, one in enumerate(self._waiting)
                if index >= too_many or not writes.is_result(one)
            ]
        if not self.failing:
            self.failing = True
            _logger.error(
                "the journal of the experiment cannot be written (%s): until it can, the experiment cannot be "
                "resumed behind this point. The trials go on. Is the disk full?",
                error,
            )

    def rewind(self, trial_id: str, reported: int) -> list[dict[str, Any]]:
        """Forgets all but the first results of a trial; gives these."""
        self.take([writes.drop_results_after(trial_id, reported)], [], now=True)
        self.write()
        texts = self.journal.result_texts(trial_id)
        for change in self._waiting:
            if (one := writes.result_of(change, trial_id)) is not None:
                texts[one[0]] = one[1]
        return [json.loads(texts[number]) for number in sorted(texts) if number <= reported]


class ExperimentState:
    """Writes the journal for the controller. writer: its thread does the writing."""

    def __init__(self, journal: Journal, writer: Writer) -> None:
        self._ledger, self.writer = _Ledger(journal), writer
        writer.at_rest = self._ledger.write
        self._changed: dict[str, Trial] = {}
        self._changes: list[Write] = []
        self._after: list[Callable[[], None]] = []
        self._specs: dict[str, tuple[Any, ...]] = {}  # of trials that live, as they were kept
        self._first_kept: dict[str, int] = {}  # the writer's batch that has a new trial
        self._next_state = 0.0

    def changed(self, trial: Trial) -> None:
        """The trial's row is written with the next commit."""
        self._changed[trial.trial_id] = trial

    def result(self, trial: Trial, result: dict[str, Any]) -> None:
        """Keeps the newest result of a trial."""
        text = trial.result_json(result)
        self._changes.append(writes.result(trial.trial_id, trial.reported, text))

    def after_commit(self, what: Callable[[], None]) -> None:
        """Does it when what has been kept so far is durable."""
        self._after.append(what)

    def rewind(self, trial: Trial, reported: int) -> list[dict[str, Any]]:
        """Forgets all but the first `reported` results of a trial; gives these."""
        self.commit()
        results: list[dict[str, Any]] = self.writer.ask(
            self._ledger.rewind, trial.trial_id, reported
        )
        replay(trial, results)
        return results

    def write_error(self, trial: Trial, error: BaseException) -> None:
        """error.txt in the trial's directory: every failure, with its traceback; error.pkl: the last one."""
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        text = f"Failure # {trial.num_failures} (occurred at {stamp})\n"
        text += "".join(traceback.format_exception(error))
        try:
            os.makedirs(trial.local_path, exist_ok=True)
            with open(Path(trial.local_path) / ERROR_FILE, "a", errors="backslashreplace") as file:
                file.write(text)
            with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
                blob = pickles.dumps(error)
                (Path(trial.local_path) / ERROR_PICKLE_FILE).write_bytes(blob)
        except OSError as problem:
            _logger.error("the error of %s cannot be written: %s", trial, problem)

    def keep(self, source: Any, scheduler: Any, callbacks: Any, at_once: bool = False) -> None:
        """Commits; and keeps the states where it is time for that."""
        began = time.monotonic()
        if at_once or began >= self._next_state:
            self._keep_states(source, scheduler, callbacks)
            self._next_state = time.monotonic() + (time.monotonic() - began) / STATE_COST_MAX
        self.commit(now=at_once)

    def _keep_states(self, source: Any, scheduler: Any, callbacks: Any) -> None:
        states = {
            "source": source.get_state,
            "scheduler": scheduler.get_state,
            "callbacks": callbacks.get_state,
        }
        for key, get_state in states.items():
            try:
                self._changes.append(writes.value(f"state:{key}", cloudpickle.dumps(get_state())))
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                _logger.debug("the state of the %s cannot be kept: %s", key, error)

    def commit(self, now: bool = False) -> None:
        """Hands over everything so far to be made durable, behind what loggers write. now: also right after a
        failure."""
        for trial in self._changed.values():
            self._put(trial)
        new = [one for one in self._changed if self._first_kept.get(one) == 0]
        if self._changes or self._after or self._ledger.failing:
            self.writer.do(None, self._ledger.take, self._changes, self._after, now)
            self._changes, self._after = [], []
        self._changed.clear()
        number = self.writer.push()
        for trial_id in new:
            self._first_kept[trial_id] = number

    def wait_for(self, trial: Trial) -> None:
        """Until a new trial is in the journal (or that has failed)."""
        if trial.trial_id in self._changed and trial.trial_id not in self._specs:
            self.commit()  # it was made in this turn
        number = self._first_kept.pop(trial.trial_id, None)
        if number is not None:
            self.writer.wait(number)

    def _put(self, trial: Trial) -> None:
        trial_id = trial.trial_id
        known = self._specs.get(trial_id)
        now = tuple(getattr(trial, name) for name in _MAY_CHANGE)
        same = known is not None and all(a is b for a, b in zip(known, now, strict=True))
        if same and (trial.reported == 0 or trial.is_finished()):
            self._changes.append(writes.life(trial_id, _life(trial)))
        else:  # also where a scheduler may have changed something in a config that has run
            if known is None:
                self._first_kept.setdefault(trial_id, 0)
            spec = _pickled({name: getattr(trial, name) for name in (*_SPEC, "checkpoint_policy")})
            self._changes.append(
                writes.trial(
                    trial_id,
                    trial.number,
                    _printable(trial.trial_name) or "",
                    spec,
                    trial.config_json(again=known is not None),
                    _life(trial),
                )
            )
            self._specs[trial_id] = now
        for change in trial.checkpoints.take_changes():
            if isinstance(change, Kept):
                self._changes.append(
                    writes.checkpoint(
                        trial_id, change.checkpoint.path, change.metrics, change.reported
                    )
                )
            else:
                self._changes.append(writes.drop_checkpoint(trial_id, change))
        if trial.is_finished():
            self._specs.pop(trial_id, None)
            self._first_kept.pop(trial_id, None)

    def close(self) -> None:
        self.commit(now=True)
        self.writer.close()
        self._ledger.journal.close()


def _life(trial: Trial) -> Life:
    borrowed = trial.checkpoints.borrowed
    return Life(
        trial.status,
        _printable(trial.error_message),
        trial.num_failures,
        trial.start_time,
        trial.end_time,
        trial.restore_from.path if trial.restore_from else None,
        borrowed.checkpoint.path if borrowed else None,
        borrowed.reported if borrowed else None,
    )


def _pickled(state: dict[str, Any]) -> bytes:
    try:
        return pickles.dumps(state)
    except (
        Exception
    ):  # its process cannot be sent it either: the trial fails of it, and is kept without
        return pickles.dumps({**state, "config": {}, "evaluated_params": {}})


def _printable(text: str | None) -> str | None:
    """Without what UTF-8 has no form for: halves of surrogates, from undecodable file names."""
    return text.encode(errors="backslashreplace").decode() if text is not None else None


def load_trials(journal: Journal, directory: Path) -> list[Trial]:
    """The trials that the journal of this directory holds, with what they have reported. An experiment may have been
    moved since it ran."""
    trials = []
    for row in journal.trials():
        spec = pickle.loads(row.spec)
        trial = Trial(
            spec["trainable_name"],
            trial_id=row.trial_id,
            config=spec["config"],
            resolved=spec["evaluated_params"],
            number=spec["number"],
            experiment_path=spec["local_experiment_path"],
            resources=spec["placement_group_factory"],
        )
        for name, value in spec.items():
            setattr(trial, name, value)
        _live_on(trial, row.life)
        for path, metrics, reported in journal.checkpoints(row.trial_id):
            trial.checkpoints.put(Kept(Checkpoint(path), metrics, reported))
        if trial.local_experiment_path != str(directory):
            _move(trial, trial.local_experiment_path, str(directory))
        else:
            trial.checkpoints.take_changes()  # they are there
        replay(trial, list(journal.results(row.trial_id)))
        trials.append(trial)
    return trials


def _live_on(trial: Trial, life: Life) -> None:
    trial.status, trial.error_message, trial.num_failures = life.status, life.error, life.failures
    trial.start_time, trial.end_time = life.began, life.ended
    if life.restore_from:
        trial.restore_from = Checkpoint(life.restore_from)
    if life.borrowed:
        trial.checkpoints.borrow(Checkpoint(life.borrowed), life.borrowed_at or 0)


def _move(trial: Trial, old: str, new: str) -> None:
    trial.local_experiment_path = new
    borrowed = trial.checkpoints.borrowed
    for one in (trial.restore_from, borrowed.checkpoint if borrowed else None):
        if one is not None and one.path.startswith(f"{old}/"):
            one.path = new + one.path[len(old) :]
    kept = list(trial.checkpoints.kept)
    trial.checkpoints.clear()
    for own in kept:
        if own.checkpoint.path.startswith(f"{old}/"):
            own.checkpoint.path = new + own.checkpoint.path[len(old) :]
        trial.checkpoints.put(own)


def replay(trial: Trial, results: list[dict[str, Any]]) -> None:
    """Makes a trial know exactly these results."""
    trial.last_result, trial.metric_analysis, trial.reported = {}, {}, 0
    for result in results:
        result["config"] = trial.config
        trial.update_last_result(result)
        trial.reported += 1
