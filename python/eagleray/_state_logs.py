"""Log files of a session as the state API lists and reads them. Workers' are worker-PID.out and .err, with full
parts FILE.1, FILE.2 ... (docs/user/logs.md)."""

from __future__ import annotations

import fnmatch
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ._state_rows import Lookout

_INTERVAL_S = 1.0
_CHUNK_BYTES = 1 << 16
_ANSI = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Wanted:
    node_id: str | None = None
    node_ip: str | None = None
    filename: str | None = None
    actor_id: str | None = None
    task_id: str | None = None
    pid: int | None = None
    suffix: str = "out"
    submission_id: str | None = None
    attempt_number: int = 0


def _directory(look: Lookout) -> str:
    return os.path.join(look.info["session_dir"], "logs")


def _check_node(look: Lookout, node_id: str | None, node_ip: str | None) -> None:
    from .util.state.exception import RayStateApiException

    known = any(
        node_id in (None, n["node_id"]) and node_ip in (None, n["address"]) for n in look.cluster
    )
    if not known:
        raise RayStateApiException(
            f"There is no node {node_id or node_ip}: see list_nodes(), or `eagleray list nodes`."
        )


def _group_of(name: str) -> str:
    if name.startswith("worker-"):
        return "worker_err" if ".err" in name else "worker_out"
    return name.split(".")[0]


def listed(
    look: Lookout, node_id: str | None, node_ip: str | None, pattern: str
) -> dict[str, list[str]]:
    _check_node(look, node_id, node_ip)
    groups: dict[str, list[str]] = {}
    for name in sorted(os.listdir(_directory(look))):
        if fnmatch.fnmatch(name, pattern):
            groups.setdefault(_group_of(name), []).append(name)
    return groups


def _pid_of(look: Lookout, wanted: Wanted) -> int | None:
    if wanted.pid is not None:
        return int(wanted.pid)
    if wanted.actor_id:
        return look.pids.get(look.hosts.get(wanted.actor_id, 0))
    rows = look.tasks(
        [("task_id", "=", wanted.task_id or "")], 1000, lambda row: row["task_id"] == wanted.task_id
    )[1]
    for row in rows:
        if row["attempt_number"] == wanted.attempt_number:
            pid: int | None = row["worker_pid"]
            return pid
    return None


def _path_of(look: Lookout, wanted: Wanted) -> str:
    """A worker that has printed nothing has no file yet."""
    from .util.state.exception import RayStateApiException

    if wanted.suffix not in ("out", "err"):
        raise ValueError(f"Invalid suffix: {wanted.suffix}. Must be one of 'out' or 'err'.")
    _check_node(look, wanted.node_id, wanted.node_ip)
    name = wanted.filename
    if name is None:
        if not (wanted.actor_id or wanted.task_id or wanted.pid):
            raise ValueError("one of filename, actor_id, task_id and pid is needed")
        pid = _pid_of(look, wanted)
        if pid is None:
            raise RayStateApiException(
                "No process is known for it: it has not run yet, or there is no such actor or task."
            )
        name = f"worker-{pid}.{wanted.suffix}"
        if pid in look.worker_pids:
            return os.path.join(_directory(look), name)
    directory = os.path.realpath(_directory(look))
    path = os.path.realpath(os.path.join(directory, name))
    if not path.startswith(directory + os.sep) or not os.path.isfile(path):
        raise RayStateApiException(
            f"There is no log {name}: `eagleray logs cluster` lists what there is."
        )
    return path


def _start_of_tail(file: Any, lines: int, begin: int) -> int:
    """The offset of the last `lines` lines, or `begin`."""
    at = end = file.seek(0, os.SEEK_END)
    found = -1  # the newline that ends the last line counts for nothing
    while at > begin:
        step = min(_CHUNK_BYTES, at - begin)
        at -= step
        file.seek(at)
        chunk = file.read(step)
        if at + step == end and not chunk.endswith(b"\n"):
            found += 1
        for index in range(len(chunk) - 1, -1, -1):
            if chunk[index] == 10:
                found += 1
                if found == lines:
                    return int(at + index + 1)
    return begin


def _wait(look: Lookout, interval: float | None) -> None:
    from .util.state.exception import RayStateApiException

    if not look.is_there():
        raise RayStateApiException("The cluster has ended.")
    time.sleep(interval or _INTERVAL_S)


def chunks(
    look: Lookout, wanted: Wanted, tail: int, follow: bool, interval: float | None, plain: bool
) -> Iterator[bytes]:
    from .job_submission import _log

    path = _path_of(look, wanted)
    while not os.path.exists(path):
        if not follow:
            return
        _wait(look, interval)
    with open(path, "rb") as file:
        begin = _log.begin_of(file.fileno())  # of a job's log: what is before has been dropped
        file.seek(begin if tail < 0 else _start_of_tail(file, tail, begin))
        while True:
            chunk = file.read(_CHUNK_BYTES)
            if chunk:
                yield _ANSI.sub(b"", chunk) if plain else chunk
            elif not follow:
                return
            else:
                _wait(look, interval)
