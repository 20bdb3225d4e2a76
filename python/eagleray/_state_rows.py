"""Rows of the state API as dicts, one function a resource. Gathered from control, the node, the live processes
and the history; nothing here is formatted or limited but tasks, whose number has no bound."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from . import _core, _events, _history
from ._api import amounts
from ._history import ACTOR, Block, Condition, History, Row
from ._state import client
from ._state_conditions import Conditions
from ._state_words import (
    actor_in,
    env_text,
    exit_type,
    job_hex,
    parent_hex,
    readable_name,
    reference_type,
    sentence,
    severity,
    task_hex,
)

ASKED_MAX = 10_000  # rows that one process is asked for; of pending tasks there may be more
_PHASES = {
    "waiting": "PENDING_ARGS_AVAIL",
    "queued": "PENDING_NODE_ASSIGNMENT",
    "pushed": "SUBMITTED_TO_WORKER",
    "": "NIL",
}
CONSTRUCTOR_FAILED = "its constructor failed"  # as control says it
STATES = {0: "FINISHED"}  # of a row's error; any other: FAILED
Answers = tuple[list[dict[str, Any]], int]


class Lookout:
    """One look at a cluster. What several rows need is asked for once."""

    def __init__(self, timeout: float = 30.0, asked_max: int = ASKED_MAX) -> None:
        self.timeout = timeout
        self.asked_max = asked_max
        self.unanswered = 0  # processes that did not answer in time
        self.truncated = 0  # rows that processes had beyond ASKED_MAX
        self._client = client()
        self.info = self._client.info()
        self.wall_us = time.time_ns() // 1000 - _core.monotonic_us()

    # ---- what is asked once ----

    @cached_property
    def cluster(self) -> list[dict[str, Any]]:
        return list(self._client.cluster())

    @cached_property
    def node_ids(self) -> dict[int, str]:
        return {node["index"]: node["node_id"] for node in self.cluster}

    @cached_property
    def processes(self) -> dict[int, dict[str, Any]]:
        return {each["proc"]: each for each in self._client.node_status()["processes"]}

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        return _events.events(self.info["session_dir"])

    @cached_property
    def history(self) -> History:
        history = History(self.info["session_dir"])
        _ = history.blocks
        return history

    @cached_property
    def pids(self) -> dict[int, int]:
        """Of all processes, dead ones too as far as events tell."""
        pids = {e["proc"]: e["pid"] for e in self.events if "proc" in e and "pid" in e}
        pids.update({proc: each["pid"] for proc, each in self.processes.items()})
        return pids

    @cached_property
    def worker_pids(self) -> set[int]:
        started = {e["pid"] for e in self.events if e["kind"] == "worker_started"}
        return started | {p["pid"] for p in self.processes.values() if p["kind"] == "worker"}

    @cached_property
    def classes(self) -> dict[str, str]:
        """Of actors, also of those that control has forgotten."""
        classes = {e["actor"]: e.get("what", "") for e in self.events if "actor" in e}
        classes.update({id: actor["class_name"] for id, actor in self.actor_rows.items()})
        return classes

    @cached_property
    def _all_actors(self) -> list[dict[str, Any]]:
        return list(self._client.all_actors())

    @cached_property
    def internal_actors(self) -> set[str]:
        """Of eagleray itself, that of metrics. As in Ray, nobody is told of them."""
        return {
            actor["actor_id"]
            for actor in self._all_actors
            if actor["namespace"].startswith(_events.INTERNAL)
        }

    @cached_property
    def actor_rows(self) -> dict[str, dict[str, Any]]:
        return {
            actor["actor_id"]: actor
            for actor in self._all_actors
            if actor["actor_id"] not in self.internal_actors
        }

    @cached_property
    def _lives(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(e["actor"], e["kind"]): e for e in self.events if "actor" in e}

    def told_of(self, actor_id: str, kind: str) -> dict[str, Any]:
        """The actor's last event of that kind, or nothing."""
        return self._lives.get((actor_id, kind), {})

    @cached_property
    def hosts(self) -> dict[str, int]:
        """Of actors, those that have ended and those whose constructors run too: the last process."""
        hosts = {
            event["actor"]: event["proc"]
            for event in self.events
            if event["kind"] in ("actor_started", "actor_failed")
        }
        return hosts | {each["actor"]: p for p, each in self.processes.items() if each["actor"]}

    def info_ms(self) -> float:
        """Now, by the clock of the rows."""
        now_us: int = _core.monotonic_us() + self.wall_us
        return now_us / 1000

    def demands_of(self, class_name: str) -> str:
        """Why an actor of this class has not been placed, as its node says; or nothing."""
        for demand in self._client.node_status()["demands"]:
            if demand["what"] == f"actor {class_name}":
                return str(demand["reason"])
        return ""

    def unlisted_tasks(self) -> Iterator[tuple[str, bool, str, int]]:
        """Of tasks that have not ended and were too many to be sent: name, whether of an actor, state, how many."""
        for answer in self.task_answers:
            if answer["total"] <= len(answer["tasks"]):
                continue
            listed: dict[tuple[Any, ...], int] = {}
            for task in answer["tasks"]:
                of_actor = actor_in(task["task_id"]) is not None
                key = (task["name"], task["function"], of_actor, task["phase"])
                listed[key] = listed.get(key, 0) + 1
            for name, function, of_actor, phase, count in answer["tallies"]:
                rest = count - listed.get((name, function, of_actor, phase), 0)
                if rest > 0:
                    form = {"name": name, "function": function}
                    yield readable_name(form, of_actor), of_actor, _PHASES[phase], rest

    def ask(self, about: str, only: int = 0) -> list[dict[str, Any]]:
        answers, missing = self._client.ask_state(about, self.asked_max, self.timeout, only)
        self.unanswered = max(self.unanswered, missing)  # the same ones, asked for something else
        return list(answers)

    def is_there(self) -> bool:
        """Whether the cluster has not ended."""
        return bool(self._client.info()["connected"])

    def say_what_is_missing(self) -> str:
        """One sentence, or nothing."""
        parts = []
        if self.unanswered:
            parts.append(
                f"{self.unanswered} process(es) did not answer within {self.timeout:g} s (stopped, or busy)"
            )
        if self.truncated:
            parts.append(
                f"{self.truncated} more rows were not sent: a process sends {self.asked_max} at most"
            )
        return "; ".join(parts)

    def say_what_was_dropped(self) -> str:
        history, parts = self.history, []
        if history.dropped:
            until = time.strftime(
                "%Y-%m-%d %H:%M:%S", time.localtime(history.dropped_until_us / 1e6)
            )
            parts.append(
                f"{history.dropped} older attempts of tasks (until {until}) were dropped: the history is kept "
                "within history_bytes_max"
            )
        if history.lost:
            parts.append(f"{history.lost} attempts found no room on the disk")
        return "; ".join(parts)

    # ---- ids ----

    def worker_id(self, proc: int) -> str | None:
        if not proc:
            return None
        node = self.node_ids.get(proc >> 32)
        return f"{node[:40]}{proc:016x}" if node else None

    def node_of(self, proc: int) -> str | None:
        return self.node_ids.get(proc >> 32) if proc else None

    @staticmethod
    def proc_of(worker_id: str) -> int:
        try:
            return int(worker_id[-16:], 16)
        except ValueError:
            return 0

    # ---- resources other than tasks ----

    def nodes(self) -> list[dict[str, Any]]:
        started = min((e["us"] for e in self.events), default=0) // 1000
        return [
            {
                "node_id": node["node_id"],
                "node_ip": node["address"],
                "is_head_node": node["index"] == 1,
                "state": "ALIVE" if node["alive"] else "DEAD",
                "state_message": None,
                "node_name": node["address"],
                "resources_total": amounts(node["total"]),
                "labels": dict(node["labels"]),
                "start_time_ms": started,
                "end_time_ms": 0,
            }
            for node in self.cluster
        ]

    def actors(self) -> list[dict[str, Any]]:
        return [self._actor(actor) for actor in self.actor_rows.values()]

    def _actor(self, actor: dict[str, Any]) -> dict[str, Any]:
        dead = actor["state"] == "DEAD"
        return {
            "actor_id": actor["actor_id"],
            "class_name": actor["class_name"],
            "state": actor["state"],
            "job_id": job_hex(actor["job"]),
            "name": actor["name"],
            "node_id": self.node_ids.get(actor["node"]),
            "pid": self.pids.get(actor["proc"] or self.hosts.get(actor["actor_id"], 0), 0),
            "ray_namespace": actor["namespace"],
            "serialized_runtime_env": env_text(actor["env"]),
            "required_resources": amounts(actor["resources"]),
            "death_cause": self._death_cause(actor) if dead else None,
            "label_selector": next(iter(actor["selectors"]), {}),
            "is_detached": actor["detached"],
            "placement_group_id": actor["group"] or None,
            "repr_name": "",
            "num_restarts": actor["incarnation"],
            "num_restarts_due_to_lineage_reconstruction": 0,
            "num_restarts_due_to_node_preemption": 0,
        }

    def _death_cause(self, actor: dict[str, Any]) -> dict[str, Any]:
        if actor["reason"] == CONSTRUCTOR_FAILED:
            text = self.told_of(actor["actor_id"], "actor_failed").get("reason", "")
            return {"creation_task_failure_context": {"formatted_exception_string": text}}
        return {"actor_died_error_context": {"error_message": actor["reason"]}}

    def placement_groups(self) -> list[dict[str, Any]]:
        from .util.placement_group import placement_group_table

        rows = []
        groups = {row["group"]: row for row in self._client.group_table("", "")}
        for group_id, group in placement_group_table().items():
            more = groups.get(group_id, {"detached": False, "selectors": []})
            selectors = dict(enumerate(more["selectors"]))
            rows.append(
                {
                    "placement_group_id": group_id,
                    "name": group["name"],
                    "creator_job_id": group_id[-8:],
                    "state": group["state"],
                    "bundles": [
                        {
                            "bundle_id": {"placement_group_id": group_id, "bundle_index": index},
                            "node_id": group.get("bundles_to_node_id", {}).get(index),
                            "unit_resources": bundle,
                            "label_selector": selectors.get(index, {}),
                        }
                        for index, bundle in group["bundles"].items()
                    ],
                    "is_detached": more["detached"],
                    "stats": group.get("stats"),
                }
            )
        return rows

    def workers(self) -> list[dict[str, Any]]:
        rows: dict[int, dict[str, Any]] = {}
        for event in self.events:
            kind = event["kind"]
            if kind in ("worker_started", "job_started"):
                rows[event["proc"]] = self._worker(
                    event["proc"], event["pid"], kind == "worker_started", event["us"] // 1000
                )
            elif kind in ("worker_ended", "job_ended") and event["proc"] in rows:
                rows[event["proc"]].update(
                    is_alive=False,
                    exit_type=exit_type(event),
                    exit_detail=event.get("reason"),
                    end_time_ms=event["us"] // 1000,
                )
        looking = {
            job["job"]
            for job in self._client.all_jobs()
            if job["namespace"].startswith(_events.INTERNAL)
        }
        for proc, each in self.processes.items():
            if each["job"] in looking and each["kind"] == "driver":
                continue
            started = (each["started_us"] + self.wall_us) // 1000
            rows.setdefault(
                proc, self._worker(proc, each["pid"], each["kind"] == "worker", started)
            )
        return list(rows.values())

    def _worker(self, proc: int, pid: int, worker: bool, started_ms: int) -> dict[str, Any]:
        return {
            "worker_id": self.worker_id(proc),
            "is_alive": True,
            "worker_type": "WORKER" if worker else "DRIVER",
            "exit_type": None,
            "node_id": self.node_of(proc),
            "ip": self.info["node_ip"],
            "pid": pid,
            "exit_detail": None,
            "worker_launch_time_ms": -1,
            "worker_launched_time_ms": -1,
            "start_time_ms": started_ms,
            "end_time_ms": 0,
            "debugger_port": None,
            "num_paused_threads": 0,
        }

    def jobs(self) -> list[dict[str, Any]]:
        """Those of this cluster, then those of the heads before it."""
        from .job_submission import _programs

        node_ip = self.info["node_ip"]
        submitted = self._submissions()
        theirs = {row["submission_id"]: row for row in submitted}
        drivers = []
        for row in _programs.programs(self.events, node_ip, self.node_of):
            submission = _programs.submission_of(row)
            if submission is None:
                drivers.append(row)
            elif submission in theirs:  # its driver is no job of its own
                theirs[submission].update(job_id=row["job_id"], driver_info=row["driver_info"])
        return drivers + submitted + _programs.earlier(self.info["session_dir"], node_ip)

    def _submissions(self) -> list[dict[str, Any]]:
        from .job_submission._table import JobTable

        rows = []
        for submission_id, info in JobTable(self._client, self.info["session_dir"]).all():
            row = {**info.to_json(), "submission_id": submission_id, "type": "SUBMISSION"}
            row["status"] = info.status.value
            row["runtime_env"] = info.runtime_env
            rows.append(row)
        return rows

    def runtime_envs(self) -> list[dict[str, Any]]:
        """Those that nodes have built, and those that actors, jobs and waiting tasks name."""
        rows = {env: self._env(env) for env in self._env_users()}
        wanted: dict[str, int] = {}
        for event in self.events:
            if not event["kind"].startswith("environment_"):
                continue
            env = event["what"]
            row = rows.setdefault(env, self._env(env))
            if event["kind"] == "environment_wanted":
                wanted[env] = event["us"]
                row["success"] = False
                continue
            row["success"] = event["kind"] == "environment_ready"
            row["error"] = event.get("reason")
            row["creation_time_ms"] = (event["us"] - wanted.get(env, event["us"])) / 1000
        for env, count in self._env_users().items():
            rows[env]["ref_cnt"] = count
        return list(rows.values())

    def _env(self, env: str) -> dict[str, Any]:
        return {
            "runtime_env": json.loads(env_text(env)),
            "success": True,
            "creation_time_ms": None,
            "node_id": self.info["node_id"],
            "ref_cnt": 0,
            "error": None,
        }

    def _env_users(self) -> dict[str, int]:
        users: dict[str, int] = {}
        for actor in self.actor_rows.values():
            if actor["env"] and actor["state"] == "ALIVE":
                users[actor["env"]] = users.get(actor["env"], 0) + 1
        for answer in self.task_answers:
            for task in answer["tasks"]:
                if task["env"]:
                    users[task["env"]] = users.get(task["env"], 0) + 1
        for job in self._client.all_jobs():
            env = json.loads(job["config"] or "{}").get("runtime_env")
            if env:
                users[json.dumps(env)] = users.get(json.dumps(env), 0) + 1
        return users

    def cluster_events(self) -> list[dict[str, Any]]:
        return [
            {
                "severity": severity(event),
                "time": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["us"] / 1e6)),
                "source_type": "NODE",
                "message": sentence(event),
                "event_id": event["id"],
                "custom_fields": {k: v for k, v in event.items() if k not in ("us", "id")},
            }
            for event in self.events
            if event["kind"] != "job_described"
        ]

    def objects(self) -> list[dict[str, Any]]:
        answers = self.ask("objects")
        rows = []
        for answer in answers:
            self.truncated += max(0, answer["total"] - len(answer["objects"]))
            rows += [self._object(answer, each) for each in answer["objects"]]
        return rows

    def _object(self, holder: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
        pending = each["kind"] == 0
        own = each["owner"] == holder["proc"]
        status = "NIL" if not own else _PHASES[each["phase"]] if pending else "FINISHED"
        return {
            "object_id": each["object_id"],
            "object_size": -1 if pending else each["bytes"],
            "task_status": status,
            "attempt_number": each["attempt"] + 1,
            "reference_type": reference_type(each),
            "call_site": each["site"] or "disabled",
            "type": "WORKER" if holder["worker"] else "DRIVER",
            "pid": holder["pid"],
            "ip": self.info["node_ip"],
            "owner_worker_id": self.worker_id(each["owner"]),
            "owner_pid": self.pids.get(each["owner"]),
            "borrower_pids": [self.pids.get(proc, 0) for proc in each["borrowers"]],
            "local_ref_count": each["local"],
        }

    # ---- tasks ----

    @cached_property
    def task_answers(self) -> list[dict[str, Any]]:
        return self.ask("tasks")

    def live_tasks(self) -> list[dict[str, Any]]:
        answers = self.task_answers
        running = {}
        for answer in answers:
            for task_id, attempt, started_us, waits in answer["running"]:
                running[task_id, attempt] = (started_us, waits)
        rows = []
        for answer in answers:
            self.truncated += max(0, answer["total"] - len(answer["tasks"]))
            rows += [
                self._live(answer, task, running)
                for task in answer["tasks"]
                if actor_in(task["task_id"]) not in self.internal_actors
            ]
        return rows

    def _live(
        self, owner: dict[str, Any], task: dict[str, Any], running: dict[Any, Any]
    ) -> dict[str, Any]:
        actor_id = actor_in(task["task_id"])
        state = _PHASES[task["phase"]]
        started_us, waits = running.get((task["task_id"], task["attempt"]), (0, False))
        if actor_id and task["phase"] == "pushed":
            state = "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY"
        if started_us:
            state = "RUNNING_IN_RAY_GET" if waits else "RUNNING"
        moments = [
            ("PENDING_ARGS_AVAIL", task["submitted_us"]),
            ("PENDING_NODE_ASSIGNMENT", task["ready_us"]),
            ("SUBMITTED_TO_WORKER", task["pushed_us"]),
            ("RUNNING", started_us),
        ]
        row = self._task(
            task_id=task["task_id"],
            attempt=task["attempt"],
            form=task,
            actor_id=actor_id,
            worker=task["worker"],
            parent=task["parent"],
            state=state,
            error=0,
        )
        row["events"] = [
            {"state": name, "created_ms": (us + self.wall_us) / 1000} for name, us in moments if us
        ]
        row["creation_time_ms"] = (task["submitted_us"] + self.wall_us) // 1000
        row["start_time_ms"] = (started_us + self.wall_us) // 1000 if started_us else None
        row["end_time_ms"] = None
        row["_live"] = {**task, "owner": owner["proc"], "started_us": started_us}
        return row

    def _task(
        self,
        *,
        task_id: str,
        attempt: int,
        form: dict[str, Any],
        actor_id: str | None,
        worker: int,
        parent: int,
        state: str,
        error: int,
    ) -> dict[str, Any]:
        name = readable_name(form, actor_id is not None)
        if actor_id and not form.get("name"):
            name = self._of_class(actor_id, name)
        env = form.get("env")
        return {
            "task_id": task_id,
            "attempt_number": attempt,
            "name": name,
            "state": state,
            "job_id": task_id[-8:],
            "actor_id": actor_id,
            "type": "ACTOR_TASK" if actor_id else "NORMAL_TASK",
            "func_or_class_name": self._function(form, actor_id),
            "parent_task_id": parent_hex(parent, task_id[-8:]),
            "node_id": self.node_of(worker),
            "worker_id": self.worker_id(worker),
            "worker_pid": self.pids.get(worker) if worker else None,
            "error_type": _history.ERROR_NAMES.get(error),
            "language": "PYTHON",
            "required_resources": amounts(form.get("resources", {})),
            "runtime_env_info": {"serialized_runtime_env": env_text(env)} if env else None,
            "placement_group_id": form.get("group") or None,
            "is_debugger_paused": False,
            "task_log_info": self._logs_of(worker) if worker and not actor_id else None,
        }

    def _logs_of(self, worker: int) -> dict[str, str]:
        base = f"{self.info['session_dir']}/logs/worker-{self.pids.get(worker, 0)}"
        return {"stdout_file": f"{base}.out", "stderr_file": f"{base}.err"}

    def _function(self, form: dict[str, Any], actor_id: str | None) -> str:
        plain = {"function": form.get("function", "")}
        name = readable_name(plain, actor_id is not None)
        return self._of_class(actor_id, name) if actor_id else name

    def _of_class(self, actor_id: str, method: str) -> str:
        class_name = self.classes.get(actor_id)
        return f"{class_name}.{method}" if class_name else method

    def ended(self, block: Block, row: Row) -> dict[str, Any]:
        """A row of the history as the state API shows it."""
        actor_id = block.names.actors.get(row.actor) if row.actor else None
        end = row.submitted_us
        events = [{"state": "PENDING_ARGS_AVAIL", "created_ms": end / 1000}]
        end += row.waited_us
        events.append({"state": "PENDING_NODE_ASSIGNMENT", "created_ms": end / 1000})
        started = None
        end += row.queued_us
        if row.worker:
            events.append({"state": "SUBMITTED_TO_WORKER", "created_ms": end / 1000})
            started = end + row.sent_us
            events.append({"state": "RUNNING", "created_ms": started / 1000})
            end = started + row.ran_us
        state = STATES.get(row.error, "FAILED")
        events.append({"state": state, "created_ms": end / 1000})
        made = self._task(
            task_id=task_hex(row.unique, actor_id, block.job),
            attempt=row.attempt,
            form=block.names.forms.get(row.form, {}),
            actor_id=actor_id,
            worker=row.worker,
            parent=row.parent,
            state=state,
            error=row.error,
        )
        made["events"] = events
        made["creation_time_ms"] = row.submitted_us // 1000
        made["start_time_ms"] = started // 1000 if started else None
        made["end_time_ms"] = end // 1000
        text = block.names.errors.get((row.unique, row.attempt))
        if text is None and actor_id and made["error_type"] == "ACTOR_DIED":
            text = self.told_of(actor_id, "actor_failed").get("reason")
        made["error_message"] = text
        made["_row"] = row
        made["_owner"] = block.proc
        return made

    def creations(self) -> list[dict[str, Any]]:
        """Actors as the tasks that make them."""
        rows = [self._creation(actor) for actor in self.actor_rows.values()]
        forgotten = {
            event["actor"]: event
            for event in self.events
            if event["kind"] in ("actor_started", "actor_failed")
            and event["actor"] not in self.actor_rows
            and event["actor"] not in self.internal_actors
        }
        return rows + [self._forgotten_creation(event) for event in forgotten.values()]

    def _forgotten_creation(self, event: dict[str, Any]) -> dict[str, Any]:
        """Of an actor that control has forgotten (dead_actors_max), by what its node told."""
        failed = event["kind"] == "actor_failed"
        made = f"{event.get('what', '')}.__init__"
        return {
            "task_id": "00" * 8 + event["actor"],
            "attempt_number": 0,
            "name": made,
            "state": "FAILED" if failed else "FINISHED",
            "job_id": job_hex(event.get("job", 0)),
            "actor_id": event["actor"],
            "type": "ACTOR_CREATION_TASK",
            "func_or_class_name": made,
            "parent_task_id": parent_hex(0, job_hex(event.get("job", 0))),
            "node_id": self.node_of(event["proc"]),
            "worker_id": self.worker_id(event["proc"]),
            "worker_pid": event.get("pid"),
            "error_type": "TASK_EXECUTION_EXCEPTION" if failed else None,
            "language": "PYTHON",
            "error_message": event.get("reason"),
            "is_debugger_paused": False,
            **self._creation_times(event["actor"], "FAILED" if failed else "FINISHED"),
        }

    def _creation(self, actor: dict[str, Any]) -> dict[str, Any]:
        failed = actor["state"] == "DEAD" and actor["reason"] == CONSTRUCTOR_FAILED
        proc = actor["proc"] or self.hosts.get(actor["actor_id"], 0)
        if actor["state"] in ("PENDING_CREATION", "RESTARTING"):
            state = "RUNNING" if proc in self.processes else "PENDING_NODE_ASSIGNMENT"
        else:
            state = "FAILED" if failed else "FINISHED"
        made = f"{actor['class_name']}.__init__"
        return {
            "task_id": "00" * 8 + actor["actor_id"],
            "attempt_number": actor["incarnation"],
            "name": f"{actor['name']}:{made}" if actor["name"] else made,
            "state": state,
            "job_id": job_hex(actor["job"]),
            "actor_id": actor["actor_id"],
            "type": "ACTOR_CREATION_TASK",
            "func_or_class_name": made,
            "parent_task_id": parent_hex(0, job_hex(actor["job"])),
            "node_id": self.node_of(proc) or self.node_ids.get(actor["node"]),
            "worker_id": self.worker_id(proc),
            "worker_pid": self.pids.get(proc),
            "error_type": "TASK_EXECUTION_EXCEPTION" if failed else None,
            "language": "PYTHON",
            "required_resources": amounts(actor["resources"]),
            "runtime_env_info": {"serialized_runtime_env": env_text(actor["env"])}
            if actor["env"]
            else None,
            "placement_group_id": actor["group"] or None,
            "error_message": self.told_of(actor["actor_id"], "actor_failed").get("reason")
            if failed
            else None,
            "is_debugger_paused": False,
            **self._creation_times(actor["actor_id"], state),
        }

    def _creation_times(self, actor_id: str, state: str) -> dict[str, Any]:
        """By what the node has told of the last attempt; nothing of one that waits for its worker."""
        moments = []
        begun = self.told_of(actor_id, "actor_begun")
        if begun and state != "PENDING_NODE_ASSIGNMENT":
            wanted_us = begun["us"] - begun.get("waited_us", 0)
            moments = [("PENDING_NODE_ASSIGNMENT", wanted_us), ("RUNNING", begun["us"])]
        end = self.told_of(actor_id, "actor_failed" if state == "FAILED" else "actor_started")
        if end and state in ("FINISHED", "FAILED"):
            moments.append((state, end["us"]))
        ms = {name: us // 1000 for name, us in moments}
        return {
            "events": [{"state": name, "created_ms": us / 1000} for name, us in moments],
            "creation_time_ms": ms.get("PENDING_NODE_ASSIGNMENT"),
            "start_time_ms": ms.get("RUNNING"),
            "end_time_ms": ms.get(state) if state in ("FINISHED", "FAILED") else None,
        }

    def of_users(self, block: Block) -> list[Condition]:
        """Leaves internal actors' calls out."""
        actors = block.names.actors
        internal = [number for number in actors if actors[number] in self.internal_actors]
        return [(ACTOR, True, internal)] if internal else []

    def tasks(
        self,
        filters: list[tuple[str, str, Any]],
        limit: int,
        holds: Callable[[dict[str, Any]], bool],
    ) -> tuple[int, list[dict[str, Any]]]:
        """How many there are that hold, and at most `limit` of them: live ones first, then the newest."""
        rows = [row for row in self.live_tasks() + self.creations() if holds(row)]
        total, rows = len(rows), rows[:limit]
        for block in self.history.blocks:
            conditions = Conditions(self, block).of(filters)
            if conditions is None:
                continue
            conditions += self.of_users(block)
            count, found = self.history.scan(block, conditions, limit - len(rows))
            total += count
            rows += [self.ended(block, row) for row in found]
        dropped = self.say_what_was_dropped()
        if dropped:
            warnings.warn(dropped, UserWarning, stacklevel=4)
        return total, rows
