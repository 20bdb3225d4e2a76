"""Reads a session's history: blocks of rows in history.db, and the files that processes still write to.

A row is one attempt of a task; docs/design/history.md has its form. Filtering is done by the core, block by
block, so that a million rows take a fraction of a second."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from . import _core

_HEADER_BYTES = 96
# Columns of the core's conditions.
UNIQUE, WORKER, PARENT, FORM, ACTOR, ATTEMPT, ERROR = range(7)
Condition = tuple[int, bool, list[int]]

NO_ERROR, EXCEPTION, DEPENDENCY, FAILURES = 0, 1, 2, 16
# By the order of FailureKind; with Ray's names where Ray has the thing.
_FAILURES = (
    "WORKER_DIED",
    "OUT_OF_MEMORY",
    "ACTOR_DIED",
    "ACTOR_UNAVAILABLE",
    "OWNER_DIED",
    "OBJECT_LOST",
    "OBJECT_FREED",
    "TASK_CANCELLED",
    "OBJECT_STORE_FULL",
    "TASK_UNSCHEDULABLE_ERROR",
    "NODE_DIED",
    "TASK_PLACEMENT_GROUP_REMOVED",
    "DEADLOCK",
    "ACTOR_UNSCHEDULABLE_ERROR",
    "ACTOR_PLACEMENT_GROUP_REMOVED",
    "OUT_OF_DISK_ERROR",
    "RUNTIME_ENV_SETUP_FAILED",
)
ERROR_NAMES: dict[int, str | None] = {
    NO_ERROR: None,
    EXCEPTION: "TASK_EXECUTION_EXCEPTION",
    DEPENDENCY: "DEPENDENCY_RESOLUTION_FAILED",
    **{FAILURES + code: name for code, name in enumerate(_FAILURES)},
}


class Row(NamedTuple):
    """Times in microseconds (`submitted_us`: Unix time, the others: durations, each from the end of the one
    before), sizes in bytes."""

    unique: int
    submitted_us: int
    worker: int
    parent: int
    form: int
    actor: int
    waited_us: int
    queued_us: int
    sent_us: int
    ran_us: int
    answered_us: int
    argument_bytes: int
    result_bytes: int
    attempt: int
    error: int


@dataclass
class Names:
    """What a process's rows name by number."""

    forms: dict[int, dict[str, Any]] = field(default_factory=dict)
    actors: dict[int, str] = field(default_factory=dict)
    errors: dict[tuple[int, int], str] = field(default_factory=dict)  # by task and attempt

    @classmethod
    def of(cls, text: bytes) -> Names:
        names = cls()
        for line in text.decode(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # its process was ended while it wrote
            if "form" in entry:
                names.forms[entry["form"]] = entry
            elif "actor" in entry:
                names.actors[entry["actor"]] = entry["id"]
            else:
                names.errors[entry["error"], entry["attempt"]] = entry["text"]
        return names


class Block(NamedTuple):
    proc: int
    job: int
    pid: int
    names: Names
    data: bytes


def _read(path: str) -> bytes:
    """A file of rows. Its process may begin it again meanwhile: what it held before is in the database by then."""
    with open(path, "rb", buffering=0) as file:
        while True:
            data = file.read()
            file.seek(0)
            now = _core.history_header(file.read(_HEADER_BYTES))
            if _core.history_header(data)["sequence"] == now["sequence"]:
                return data
            file.seek(0)


class History:
    """One look at it: what is dropped or written meanwhile is not seen."""

    def __init__(self, session_dir: str) -> None:
        self._directory = os.path.join(session_dir, "history")
        self.dropped = 0  # rows that had to make room
        self.dropped_until_us = 0
        self.lost = 0  # rows for which the disk had no room
        self._names: dict[int, Names] = {}

    @cached_property
    def blocks(self) -> list[Block]:
        """The newest first."""
        # Files before the database: what is taken into it meanwhile is in one of the two, or in both.
        files = self._files()
        found = []
        kept, taken = self._kept()
        for data in kept:
            block = self._block(data)
            taken.add((block.proc, _core.history_header(data)["sequence"]))
            found.append(block)
        written = [
            self._block(data)
            for data in files
            if (h := _core.history_header(data)) and (h["proc"], h["sequence"]) not in taken
        ]
        return written + found

    def _block(self, data: bytes) -> Block:
        header = _core.history_header(data)
        self.lost += header["lost"]
        return Block(
            header["proc"], header["job"], header["pid"], self._names_of(header["proc"]), data
        )

    def _files(self) -> list[bytes]:
        found = []
        try:
            names = os.listdir(self._directory)
        except OSError:
            return []
        for name in names:
            if not name.endswith(".tasks"):
                continue
            try:
                data = _read(os.path.join(self._directory, name))
                header = _core.history_header(data)
                if header["rows"] and not header["taken"]:
                    found.append(data)
            except (OSError, ValueError):
                continue  # taken by control, or just begun
        return sorted(found, key=lambda data: -_core.history_header(data)["sequence"])

    def _kept(self) -> tuple[list[bytes], set[tuple[int, int]]]:
        """Blocks, and the process and sequence number of those that were dropped lately."""
        path = os.path.join(self._directory, "history.db")
        if not os.path.exists(path):
            return [], set()
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            database.execute("BEGIN")
            self.dropped, self.dropped_until_us = database.execute(
                "SELECT rows, last_us FROM dropped"
            ).fetchone()
            for proc, text in database.execute("SELECT proc, text FROM names"):
                self._names[proc % 2**64] = Names.of(text)
            gone = database.execute("SELECT proc, sequence FROM gone").fetchall()
            blocks = database.execute("SELECT data FROM blocks ORDER BY id DESC").fetchall()
            return [data for (data,) in blocks], {(proc % 2**64, number) for proc, number in gone}
        except sqlite3.OperationalError:
            return [], set()  # it is being made
        finally:
            database.close()

    def _names_of(self, proc: int) -> Names:
        if proc not in self._names or self._is_written(proc):
            try:
                with open(self._names_path(proc), "rb") as file:
                    self._names[proc] = Names.of(file.read())
            except OSError:
                self._names.setdefault(proc, Names())
        return self._names[proc]

    def _names_path(self, proc: int) -> str:
        return os.path.join(self._directory, f"{proc:016x}.names")

    def _is_written(self, proc: int) -> bool:
        seen: set[int] = self.__dict__.setdefault("_read", set())
        if proc in seen:
            return False
        seen.add(proc)
        return os.path.exists(self._names_path(proc))

    def scan(self, block: Block, conditions: list[Condition], limit: int) -> tuple[int, list[Row]]:
        """How many rows of `block` hold, and at most `limit` of them, the newest first."""
        count, rows = _core.history_scan(block.data, conditions, limit)
        return count, [Row(*row) for row in rows]

    def tally(self) -> Iterator[tuple[Block, int, bool, int, int]]:
        """Of each block: form, whether it is an actor's, error, how many."""
        for block in self.blocks:
            for form, of_actor, error, count in _core.history_tally(block.data):
                yield block, form, of_actor, error, count
