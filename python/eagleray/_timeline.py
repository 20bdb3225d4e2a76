"""`ray.timeline()`: what ran where and when, as Chrome's trace events, which Perfetto opens too. A task is one span
on its worker's row; how long it waited before stands in its arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ._state_rows import Lookout

_COLOURS = {"FINISHED": "good", "FAILED": "bad"}
_ALL = 10**12


def _span(look: Lookout, row: dict[str, Any], now_ms: float) -> dict[str, Any] | None:
    at = {event["state"]: event["created_ms"] for event in row.get("events") or ()}
    began = at.get("RUNNING")
    if began is None or not row["worker_id"]:
        return None
    ended = at.get("FINISHED", at.get("FAILED", now_ms))
    submitted = at["PENDING_ARGS_AVAIL"]
    ready = at.get("PENDING_NODE_ASSIGNMENT", submitted)
    sent = at.get("SUBMITTED_TO_WORKER", ready)
    return {
        "cat": f"task::{row['name']}",
        "name": f"task::{row['name']}",
        "pid": look.info["node_ip"],
        "tid": f"worker:{row['worker_id']}",
        "ts": began * 1000,
        "dur": (ended - began) * 1000,
        "ph": "X",
        "cname": _COLOURS.get(row["state"], "thread_state_running"),
        "args": {
            "task_id": row["task_id"],
            "job_id": row["job_id"],
            "attempt_number": row["attempt_number"],
            "func_or_class_name": row["func_or_class_name"],
            "actor_id": row["actor_id"],
            "state": row["state"],
            "worker_pid": row["worker_pid"],
            "waited_for_arguments_ms": round(ready - submitted, 3),
            "waited_for_a_worker_ms": round(sent - ready, 3),
            "on_its_way_ms": round(began - sent, 3),
        },
    }


def spans() -> Iterator[dict[str, Any]]:
    look = Lookout()
    now_ms = look.info_ms()
    for row in look.live_tasks():
        span = _span(look, row, now_ms)
        if span:
            yield span
    for block in look.history.blocks:
        for ended in look.history.scan(block, look.of_users(block), _ALL)[1]:
            span = _span(look, look.ended(block, ended), now_ms)
            if span:
                yield span


def timeline(filename: str | None = None) -> list[dict[str, Any]] | None:
    found = spans()
    if filename is None:
        return list(found)
    with open(filename, "w") as file:
        file.write("[")
        for number, span in enumerate(found):
            file.write((",\n" if number else "\n") + json.dumps(span))
        file.write("\n]\n")
    return None
