"""Programs that have called init() by themselves, which Ray lists among jobs: those of this cluster, from the events of
its session, and those of the heads before it, from theirs. Rows have JobDetails' fields."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

from .. import _events
from .._files import write_whole
from .._ids import JobID

FILE = "programs.json"  # in a head's folder `jobs`: the programs of the heads before it
EARLIER_MAX = 1000  # the newest ones; earlier ones are forgotten
_ENDED = "The cluster ended while the program was connected."


def programs(
    events: list[dict[str, Any]], node_ip: str, node_of: Callable[[int], str | None]
) -> list[dict[str, Any]]:
    """Of one session, also those that a submitted job has started: their metadata names it. node_of: of a process."""
    described = {e["job"]: e for e in events if e["kind"] == "job_described"}
    rows: dict[int, dict[str, Any]] = {}
    for event in events:
        if event["kind"] == "job_started":
            rows[event["job"]] = _row(event, described.get(event["job"], {}), node_ip, node_of)
        elif event["kind"] == "job_ended" and event.get("job") in rows:
            rows[event["job"]].update(status="SUCCEEDED", end_time=event["us"] // 1000)
    return list(rows.values())


def _row(
    started: dict[str, Any],
    described: dict[str, Any],
    node_ip: str,
    node_of: Callable[[int], str | None],
) -> dict[str, Any]:
    job_id = JobID.from_int(started["job"]).hex()
    return {
        "job_id": job_id,
        "submission_id": None,
        "entrypoint": described.get("entrypoint", ""),
        "type": "DRIVER",
        "status": "RUNNING",
        "message": None,
        "error_type": None,
        "driver_info": {"id": job_id, "node_ip_address": node_ip, "pid": str(started["pid"])},
        "start_time": started["us"] // 1000,
        "end_time": None,
        "metadata": described.get("metadata") or {},
        "runtime_env": described.get("runtime_env") or {},
        "driver_agent_http_address": "",
        "driver_node_id": node_of(started["proc"]),
        "driver_exit_code": None,
    }


def submission_of(row: dict[str, Any]) -> str | None:
    """The id of the submitted job that has started the program."""
    found: str | None = row["metadata"].get("job_submission_id")
    return found


def earlier(session_dir: str, node_ip: str) -> list[dict[str, Any]]:
    """Those of the heads before this one. What ran there has ended with it."""
    folder = os.path.join(session_dir, "jobs")
    path = os.path.join(folder, FILE)
    try:
        with open(path) as file:
            return list(json.load(file))
    except (OSError, ValueError):
        pass
    before = head_before(session_dir)
    if before is None or not os.path.isdir(folder):
        return []
    found = [*earlier(before, node_ip), *_ended(before, node_ip)][-EARLIER_MAX:]
    with contextlib.suppress(OSError):  # no room: it is found again the next time
        write_whole(path, json.dumps(found))
    return found


def _ended(session_dir: str, node_ip: str) -> list[dict[str, Any]]:
    events = _events.events(session_dir)
    rows = [row for row in programs(events, node_ip, lambda _: None) if submission_of(row) is None]
    for row in rows:
        if row["status"] == "RUNNING":
            row.update(status="FAILED", message=_ENDED, end_time=events[-1]["us"] // 1000)
    return rows


def head_before(session_dir: str, of_jobs: bool = False) -> str | None:
    """The newest session of a head before this one; of_jobs: of one that was given a job."""
    root, own = os.path.split(session_dir)
    for name in sorted(os.listdir(root), reverse=True):
        folder = os.path.join(root, name, "jobs")
        if not name.startswith("session_2") or name >= own or not os.path.isdir(folder):
            continue
        if not of_jobs or any(n.endswith(".json") and n != FILE for n in os.listdir(folder)):
            return os.path.join(root, name)
    return None
