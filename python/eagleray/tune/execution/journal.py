"""The journal of an experiment: every change of a trial, in one SQLite file that survives the driver.

One transaction per turn of the controller's loop, written ahead (WAL) and not synced: it survives the death of any
process, not that of the machine's power (synchronous=NORMAL: after that the file is whole, and may lack the last
turns). Others may read it while the experiment runs (`eagleray tune ls`).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..result import JOURNAL_FILE

VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS experiment (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trials (
    trial_id TEXT PRIMARY KEY, number INTEGER NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL,
    state BLOB NOT NULL, config TEXT NOT NULL, error TEXT, changed REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS results (
    trial_id TEXT NOT NULL, number INTEGER NOT NULL, result TEXT NOT NULL, PRIMARY KEY (trial_id, number)
);
"""


class Journal:
    """Owned by the controller, used by its thread only. Writes gather until commit()."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._open = False

    @staticmethod
    def path_in(directory: str | Path) -> Path:
        return Path(directory) / JOURNAL_FILE

    @classmethod
    def open(cls, directory: str | Path) -> Journal:
        """The journal in this directory; made where there is none. ValueError: it is damaged or of a newer version."""
        path = cls.path_in(directory)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise ValueError(
                    f"{path} was written by a newer eagleray (version {version} of the journal)"
                )
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
        """An existing journal, to look at only. FileNotFoundError: there is none."""
        path = cls.path_in(directory)
        if path.exists():
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
            if connection.execute("PRAGMA user_version").fetchone()[0]:  # 0: it is being made
                return cls(connection)
        raise FileNotFoundError(f"there is no experiment in {directory} (no {JOURNAL_FILE})")

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        if not self._open:
            self._connection.execute("BEGIN")
            self._open = True
        self._connection.execute(statement, values)

    def put(self, key: str, value: bytes) -> None:
        """Keeps a value of the experiment: its spec, the state of its searcher."""
        self._write("REPLACE INTO experiment VALUES (?, ?)", (key, value))

    def get(self, key: str) -> bytes | None:
        row = self._connection.execute(
            "SELECT value FROM experiment WHERE key=?", (key,)
        ).fetchone()
        return row[0] if row else None

    def put_trial(
        self,
        trial_id: str,
        number: int,
        name: str,
        status: str,
        state: bytes,
        config: str,
        error: str | None,
    ) -> None:
        """Keeps a trial as it is now."""
        self._write(
            "REPLACE INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (trial_id, number, name, status, state, config, error, time.time()),
        )

    def put_result(self, trial_id: str, number: int, result: str) -> None:
        """Keeps the result of this number, from 1; a later one of the same number takes its place."""
        self._write("REPLACE INTO results VALUES (?, ?, ?)", (trial_id, number, result))

    def drop_results_after(self, trial_id: str, number: int) -> None:
        """Forgets what a trial reported after the checkpoint that it goes on from."""
        self._write("DELETE FROM results WHERE trial_id=? AND number>?", (trial_id, number))

    def trials(self) -> Iterator[tuple[str, int, str, str, bytes, str, str | None]]:
        """Of every trial, in order: id, number, name, status, state, config, error."""
        yield from self._connection.execute(
            "SELECT trial_id, number, name, status, state, config, error FROM trials ORDER BY number"
        )

    def results(self, trial_id: str) -> Iterator[dict[str, Any]]:
        """What a trial has reported, in order."""
        rows = self._connection.execute(
            "SELECT result FROM results WHERE trial_id=? ORDER BY number", (trial_id,)
        )
        for (text,) in rows:
            yield json.loads(text)

    @property
    def is_open(self) -> bool:
        """Whether something has been written since the last commit()."""
        return self._open

    def commit(self) -> None:
        """Makes what was written since the last commit() durable, all or nothing."""
        if self._open:
            self._open = False
            self._connection.execute("COMMIT")

    def rollback(self) -> None:
        """After a failed write (a full disk): what was not committed is given up."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._open = False

    def close(self) -> None:
        self.commit()
        self._connection.close()
