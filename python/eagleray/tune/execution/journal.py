"""The journal of an experiment: every change of a trial, in one SQLite file that survives the driver.

One transaction per turn of the controller's loop, written ahead (WAL) and not synced: it survives the death of any
process, not that of the machine's power (synchronous=NORMAL: after that the file is whole, and may lack the last
turns). Others may read it while the experiment runs (`eagleray tune ls`).

What a trial is (its config, names, resources) is pickled once; what becomes of it is in columns, which an UPDATE
changes; each checkpoint and each result is a row of its own. So a change costs what it is, however long its trial is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..result import JOURNAL_FILE

VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS experiment (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trials (
    trial_id TEXT PRIMARY KEY, number INTEGER NOT NULL, name TEXT NOT NULL, spec BLOB NOT NULL, config TEXT NOT NULL,
    status TEXT NOT NULL, error TEXT, failures INTEGER NOT NULL, began REAL, ended REAL,
    restore_from TEXT, borrowed TEXT, borrowed_at INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoints (
    trial_id TEXT NOT NULL, path TEXT NOT NULL, metrics TEXT NOT NULL, reported INTEGER NOT NULL,
    place INTEGER PRIMARY KEY, UNIQUE (trial_id, path)
);
CREATE TABLE IF NOT EXISTS results (
    trial_id TEXT NOT NULL, number INTEGER NOT NULL, result TEXT NOT NULL, PRIMARY KEY (trial_id, number)
) WITHOUT ROWID;
"""

Write = tuple[str, tuple[Any, ...]]  # a statement and its values
_PUT = "REPLACE INTO experiment VALUES (?, ?)"
_PUT_TRIAL = f"REPLACE INTO trials VALUES ({', '.join('?' * 13)})"
_PUT_LIFE = (
    "UPDATE trials SET status=?, error=?, failures=?, began=?, ended=?, restore_from=?, borrowed=?, borrowed_at=? "
    "WHERE trial_id=?"
)
_PUT_RESULT = "REPLACE INTO results VALUES (?, ?, ?)"
_DROP_RESULTS = "DELETE FROM results WHERE trial_id=? AND number>?"
_PUT_CHECKPOINT = "REPLACE INTO checkpoints (trial_id, path, metrics, reported) VALUES (?, ?, ?, ?)"
_DROP_CHECKPOINT = "DELETE FROM checkpoints WHERE trial_id=? AND path=?"


class Life(NamedTuple):
    """What becomes of a trial. borrowed: the path of another trial's checkpoint that it has gone on from."""

    status: str
    error: str | None = None
    failures: int = 0
    began: float | None = None
    ended: float | None = None
    restore_from: str | None = None
    borrowed: str | None = None
    borrowed_at: int | None = None


class TrialRow(NamedTuple):
    """A trial as it was kept."""

    trial_id: str
    number: int
    name: str
    spec: bytes
    config: str
    life: Life


# What may be written.


def value(key: str, content: bytes) -> Write:
    """A value of the experiment: its spec, the state of its searcher."""
    return _PUT, (key, content)


def trial(trial_id: str, number: int, name: str, spec: bytes, config: str, life: Life) -> Write:
    """A trial, whole. spec: what it is, pickled."""
    return _PUT_TRIAL, (trial_id, number, name, spec, config, *life)


def life(trial_id: str, now: Life) -> Write:
    """What has become of a trial that is there."""
    return _PUT_LIFE, (*now, trial_id)


def result(trial_id: str, number: int, text: str) -> Write:
    """The result of this number, from 1; a later one of the same number takes its place."""
    return _PUT_RESULT, (trial_id, number, text)


def drop_results_after(trial_id: str, number: int) -> Write:
    """Forgets what a trial reported after the checkpoint that it goes on from."""
    return _DROP_RESULTS, (trial_id, number)


def checkpoint(trial_id: str, path: str, metrics: dict[str, Any], reported: int) -> Write:
    """A checkpoint of a trial, as the latest."""
    return _PUT_CHECKPOINT, (trial_id, path, json.dumps(metrics), reported)


def drop_checkpoint(trial_id: str, path: str) -> Write:
    return _DROP_CHECKPOINT, (trial_id, path)


def result_of(write: Write, trial_id: str) -> tuple[int, str] | None:
    """Number and text of a result of this trial, if that is what is written."""
    statement, values = write
    return values[1:] if statement is _PUT_RESULT and values[0] == trial_id else None


def is_result(write: Write) -> bool:
    return write[0] is _PUT_RESULT


class Journal:
    """The file. Used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @staticmethod
    def path_in(directory: str | Path) -> Path:
        return Path(directory) / JOURNAL_FILE

    @classmethod
    def open(cls, directory: str | Path) -> Journal:
        """The journal in this directory; made where there is none. ValueError: it is damaged or of another version."""
        path = cls.path_in(directory)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint=4000")  # pages: 16 MB between two syncs
            _check_version(connection, path)
            connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT"
            )
        except sqlite3.DatabaseError as error:
            connection.close()
            raise ValueError(
                f"{path} is no journal of an experiment, or damaged: {error}"
            ) from None
        return cls(connection)

    @classmethod
    def read(cls, directory: str | Path) -> Journal:
        """An existing journal, to look at only. FileNotFoundError: there is none. ValueError: of another version."""
        path = cls.path_in(directory)
        if path.exists():
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
            if _check_version(connection, path):  # 0: it is being made
                return cls(connection)
        raise FileNotFoundError(f"there is no experiment in {directory} (no {JOURNAL_FILE})")

    def write(self, writes: Iterable[Write]) -> None:
        """All of them or none. sqlite3.OperationalError: the disk is full."""
        try:
            self._connection.execute("BEGIN")
            for statement, values in writes:
                self._connection.execute(statement, values)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def get(self, key: str) -> bytes | None:
        row = self._connection.execute(
            "SELECT value FROM experiment WHERE key=?", (key,)
        ).fetchone()
        return row[0] if row else None

    def trials(self) -> Iterator[TrialRow]:
        """Every trial, in order."""
        for row in self._connection.execute("SELECT * FROM trials ORDER BY number"):
            trial_id, number, name, spec, config, *now = row
            yield TrialRow(trial_id, number, name, spec, config, Life(*now))

    def checkpoints(self, trial_id: str) -> Iterator[tuple[str, dict[str, Any], int]]:
        """Of each checkpoint of a trial, oldest first: path, metrics, how many results there were."""
        rows = self._connection.execute(
            "SELECT path, metrics, reported FROM checkpoints WHERE trial_id=? ORDER BY place",
            (trial_id,),
        )
        for path, metrics, reported in rows:
            yield path, json.loads(metrics), reported

    def result_texts(self, trial_id: str) -> dict[int, str]:
        """What a trial has reported, as JSON, by its number, in order."""
        return dict(
            self._connection.execute(
                "SELECT number, result FROM results WHERE trial_id=? ORDER BY number", (trial_id,)
            )
        )

    def results(self, trial_id: str) -> Iterator[dict[str, Any]]:
        """What a trial has reported, in order."""
        yield from map(json.loads, self.result_texts(trial_id).values())

    def close(self) -> None:
        self._connection.close()


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version not in (0, VERSION):
        connection.close()
        which = "newer" if version > VERSION else "older"
        raise ValueError(
            f"{path} was written by a {which} eagleray (version {version} of the journal, this one has {VERSION}): "
            "go on with that one, or give the experiment another name"
        )
    return version
