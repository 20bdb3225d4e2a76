"""Events of a session: a JSON line each, in files that nodes and drivers append to (docs/design/history.md).

Apart from the rows of tasks, because every init() writes one, and reading rows loads SQLite."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

INTERNAL = "_ray_internal_"  # begins the namespaces of programs that only look; as in Ray, nobody is told of them


def describe_job(info: dict[str, Any], config: dict[str, Any]) -> None:
    """Keeps what the node does not know of a job: the command, its metadata and environment."""
    entry = {
        "us": time.time_ns() // 1000,
        "kind": "job_described",
        "job": info["job_id"],
        "entrypoint": " ".join(sys.orig_argv),
        "metadata": config.get("metadata") or {},
        "runtime_env": config.get("runtime_env") or {},
    }
    path = os.path.join(info["session_dir"], "history", "jobs.events")
    try:
        with open(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(json.dumps(entry, default=str) + "\n")
    except OSError:
        pass  # no room: the job is listed without them


def events(session_dir: str) -> list[dict[str, Any]]:
    """What nodes tell of their processes, the oldest first: `us` (Unix time), `kind`, and what the kind has. Nothing of
    programs in an INTERNAL namespace."""
    directory = os.path.join(session_dir, "history")
    found = []
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        if not name.endswith((".events", ".events.1")):
            continue
        with open(os.path.join(directory, name), "rb") as file:
            for number, line in enumerate(file):
                try:
                    event = json.loads(line.decode(errors="replace"))
                except ValueError:
                    continue
                event["id"] = f"{name.split('.')[0]}-{event['us']}-{number}"
                if "proc" in event:
                    event["proc"] = int(event["proc"], 16)
                found.append(event)
    found.sort(key=lambda event: int(event["us"]))
    started = [event for event in found if event["kind"] == "job_started"]
    internal = {event["job"] for event in started if event["what"].startswith(INTERNAL)}
    return [event for event in found if event.get("job") not in internal]
