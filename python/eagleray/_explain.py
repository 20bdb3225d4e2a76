"""`ray.util.explain(ref)`: why a task waits, or where it ran, how long each phase took and what it cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ._state_rows import Lookout

_DEPTH_MAX = 8
_ASKED_MAX = 10_000_000  # tasks of a process: the one that is asked for may be any
_PHASES = (
    ("waited for its arguments", "PENDING_ARGS_AVAIL", "PENDING_NODE_ASSIGNMENT"),
    ("waited for a worker", "PENDING_NODE_ASSIGNMENT", "SUBMITTED_TO_WORKER"),
    ("was on its way", "SUBMITTED_TO_WORKER", "RUNNING"),
    ("ran", "RUNNING", ""),
)


@dataclass
class Explanation:
    """str() tells it in sentences. `phases`: name and milliseconds, the last one still going on if the task is not
    finished. `argument_bytes`, `result_bytes`: as they travelled or lie in the store; -1: not known yet.
    `waits_for`: what makes the arguments that are not there. `attempts`: earlier ones that failed, and how."""

    what: str
    state: str
    reason: str = ""
    id: str = ""
    phases: list[tuple[str, float]] = field(default_factory=list)
    node_id: str | None = None
    worker_pid: int | None = None
    owner_pid: int | None = None
    argument_bytes: int = -1
    result_bytes: int = -1
    attempts: list[str] = field(default_factory=list)
    waits_for: list[Explanation] = field(default_factory=list)

    def asdict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(self._lines(""))

    def _lines(self, indent: str) -> list[str]:
        lines = [f"{indent}{self.what} ({self.id}): {self.state}"]
        if self.reason:
            lines.append(f"{indent}  {self.reason}")
        if self.worker_pid:
            lines.append(f"{indent}  worker process {self.worker_pid} of node {self.node_id}")
        lines += [f"{indent}  {name} {_time(ms)}" for name, ms in self.phases]
        if self.argument_bytes >= 0:
            lines.append(f"{indent}  arguments: {self.argument_bytes} bytes")
        if self.result_bytes >= 0:
            lines.append(f"{indent}  result: {self.result_bytes} bytes")
        lines += [f"{indent}  {attempt}" for attempt in self.attempts]
        if self.waits_for:
            lines.append(f"{indent}  its arguments:")
        for each in self.waits_for:
            lines += each._lines(indent + "    ")
        return lines


def _time(ms: float) -> str:
    if ms < 1:
        return f"{ms * 1000:.0f} us"
    return f"{ms:.1f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


class Explainer:
    def __init__(self, timeout: float) -> None:
        self.look = Lookout(timeout, _ASKED_MAX)
        self.live = self.look.live_tasks()
        self.now_ms = self.look.info_ms()

    def of(self, id: str, depth: int = 0) -> Explanation:
        """ValueError: nothing is known of this id."""
        if len(id) == 32:
            return self._actor(id)
        if len(id) not in (48, 56):
            raise ValueError(f"{id!r} is no id of a task (48 digits), object (56) or actor (32)")
        task_id = id[:48]
        for row in self.live:
            if row["task_id"] == task_id:
                return self._live(row, depth)
        filters = [("task_id", "=", task_id)]
        rows = self.look.tasks(filters, 1000, lambda row: row["task_id"] == task_id)[1]
        ended = [row for row in rows if "_row" in row]
        if ended:
            return self._ended(sorted(ended, key=lambda row: int(row["attempt_number"])))
        if rows:
            return self._actor(rows[0]["actor_id"])
        if len(id) == 56:
            return self._object(id)
        raise ValueError(
            f"nothing is known of {id}: it is of another cluster, or its history was dropped"
        )

    def _phases(self, row: dict[str, Any]) -> list[tuple[str, float]]:
        at = {event["state"]: event["created_ms"] for event in row["events"]}
        end = at.get("FINISHED", at.get("FAILED", self.now_ms))
        found = []
        for name, begin, until in _PHASES:
            if begin in at:
                found.append((name, max(0.0, at.get(until, end) - at[begin])))
        return found

    def _live(self, row: dict[str, Any], depth: int) -> Explanation:
        task = row["_live"]
        made = Explanation(
            what=f"task {row['name']}",
            state=row["state"],
            reason=self._reason(row),
            id=row["task_id"],
            phases=self._phases(row),
            node_id=row["node_id"],
            worker_pid=row["worker_pid"],
            owner_pid=self.look.pids.get(task["owner"]),
            argument_bytes=task["argument_bytes"],
        )
        if depth < _DEPTH_MAX:
            for missing in task["missing"]:
                try:
                    made.waits_for.append(self.of(missing, depth + 1))
                except ValueError:
                    made.waits_for.append(Explanation("an object", "UNKNOWN", "", missing))
        return made

    def _reason(self, row: dict[str, Any]) -> str:
        task = row["_live"]
        if row["state"] == "RUNNING_IN_RAY_GET":
            return "it waits in get() itself"
        if row["state"] == "RUNNING":
            return "it runs"
        if task["phase"] == "pushed":
            return "it was sent to its worker and begins when what runs there has ended"
        if task["missing"]:
            return f"{len(task['missing'])} of its arguments are not there yet"
        ahead = f"; {task['ahead']} tasks stand before it" if task["ahead"] else ""
        return str(task["reason"]) + ahead

    def _ended(self, rows: list[dict[str, Any]]) -> Explanation:
        last = rows[-1]
        row = last["_row"]
        reason = last.get("error_message") or last["error_type"] or ""
        return Explanation(
            what=f"task {last['name']}",
            state=last["state"],
            reason=reason.strip().splitlines()[-1] if reason else "",
            id=last["task_id"],
            phases=self._phases(last),
            node_id=last["node_id"],
            worker_pid=last["worker_pid"],
            owner_pid=self.look.pids.get(last["_owner"]),
            argument_bytes=row.argument_bytes,
            result_bytes=row.result_bytes,
            attempts=[
                f"attempt {each['attempt_number']} failed: {each['error_type']}"
                for each in rows[:-1]
            ],
        )

    def _actor(self, actor_id: str) -> Explanation:
        actor = next((a for a in self.look.actors() if a["actor_id"] == actor_id), None)
        if actor is None:
            raise ValueError(f"there is no actor {actor_id}, or it was forgotten (dead_actors_max)")
        death = actor["death_cause"] or {}
        reason = death.get("actor_died_error_context", {}).get("error_message", "")
        if actor["state"] in ("PENDING_CREATION", "RESTARTING"):
            waiting = self.look.demands_of(actor["class_name"])
            reason = waiting or "its constructor has not ended"
        return Explanation(
            what=f"actor {actor['class_name']}",
            state=actor["state"],
            reason=reason,
            id=actor_id,
            node_id=actor["node_id"],
            worker_pid=actor["pid"] or None,
            attempts=[f"it was restarted {actor['num_restarts']} time(s)"]
            if actor["num_restarts"]
            else [],
        )

    def _object(self, object_id: str) -> Explanation:
        rows = [row for row in self.look.objects() if row["object_id"] == object_id]
        if not rows:
            raise ValueError(f"no process holds an object {object_id}")
        holders = ", ".join(f"process {row['pid']} ({row['reference_type']})" for row in rows)
        return Explanation(
            what="object of put()",
            state="FINISHED",
            reason=f"held by {holders}",
            id=object_id,
            node_id=self.look.info["node_id"],
            owner_pid=rows[0]["owner_pid"],
            result_bytes=rows[0]["object_size"],
        )


def explain(ref: Any, timeout: float = 10.0) -> Explanation:
    """Why `ref` (an ObjectRef, an actor's handle, or the id of a task, object or actor) is not there yet; or where
    it was made, how long each phase took, and how many bytes went there and back. Takes what the live processes say
    within `timeout` seconds. ValueError: nothing is known of it."""
    if isinstance(ref, str):
        id = ref
    elif hasattr(ref, "completed"):  # a generator
        id = ref.completed().hex()
    elif hasattr(ref, "_actor_id"):
        id = ref._actor_id.hex()
    else:
        id = ref.hex()
    return Explainer(timeout).of(id)
