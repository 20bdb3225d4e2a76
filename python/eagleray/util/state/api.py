"""The state API's functions. Each looks at the cluster once, when it is called.

`address`: of a cluster that `eagleray start --head` began ("auto" or HOST:PORT); by default the one that this
program is connected to, or else "auto". `timeout`: seconds for all processes to answer. A process that does not
answer is a RayStateApiException, or a warning with raise_on_missing_output=False."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ..._state_rows import Lookout
from ..._state_words import readable_name
from .common import (
    DEFAULT_LIMIT,
    DEFAULT_RPC_TIMEOUT,
    SCHEMAS,
    ActorState,
    ClusterEventState,
    Filter,
    GetApiOptions,
    JobState,
    ListApiOptions,
    NodeState,
    ObjectState,
    PlacementGroupState,
    RuntimeEnvState,
    StateResource,
    StateSchema,
    SummaryApiOptions,
    SummaryResource,
    TaskState,
    WorkerState,
)
from .exception import RayStateApiException, ServerUnavailable

_IDS = {
    StateResource.ACTORS: "actor_id",
    StateResource.PLACEMENT_GROUPS: "placement_group_id",
    StateResource.NODES: "node_id",
    StateResource.JOBS: "job_id",
    StateResource.WORKERS: "worker_id",
    StateResource.TASKS: "task_id",
    StateResource.OBJECTS: "object_id",
}
_MANY = 10**12  # no limit


def connect(address: str | None, namespace: str | None = None) -> None:
    """A program stays connected, with a namespace like any other's. ServerUnavailable: there is no cluster."""
    import eagleray as ray

    if ray.is_initialized():
        return
    try:
        ray.init(address=address or "auto", namespace=namespace, log_to_driver=False)
    except NotImplementedError as error:
        raise ServerUnavailable(f"{error} is not supported") from None
    except (ConnectionError, ValueError) as error:
        raise ServerUnavailable(str(error)) from None


class StateApiClient:
    """Asks one cluster. `cookies` and `headers` are Ray's, for its web server; there is none here."""

    def __init__(
        self,
        address: str | None = None,
        cookies: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
    ) -> None:
        connect(address)
        self.total = 0  # rows that the last list() has found, those beyond its limit too

    def list(
        self,
        resource: StateResource,
        options: ListApiOptions,
        raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> list[Any]:
        """Rows of `resource`, at most options.limit of them."""
        began = time.monotonic()
        filters = _checked(resource, options.filters or [])
        look = Lookout(options.timeout)
        total, rows = _rows(look, resource, filters, options.limit)
        self.total = total
        if total > len(rows):
            _say(f"{total} rows hold; {len(rows)} are listed, the newest first (limit)", _explain)
        _tell_missing(look, raise_on_missing_output)
        _say(f"listed in {time.monotonic() - began:.3f} s", _explain)
        return [_made(resource, row, options.detail) for row in rows]

    def get(
        self,
        resource: StateResource,
        id: str,
        options: GetApiOptions | None = None,
        _explain: bool = False,
    ) -> Any:
        """The row with this id, or None; of a task with several attempts and of an object all rows."""
        if resource not in _IDS:
            raise ValueError(f"Can't get {resource.value} by id.")
        options = options or GetApiOptions()
        rows = self.list(
            resource,
            ListApiOptions(
                limit=_MANY,
                timeout=options.timeout,
                detail=True,
                filters=[(_IDS[resource], "=", id)],
            ),
            _explain=_explain,
        )
        if resource == StateResource.OBJECTS:
            return rows
        if resource == StateResource.TASKS and len(rows) > 1:
            return sorted(rows, key=lambda row: int(row.attempt_number))
        return rows[0] if rows else None

    def summary(
        self,
        resource: SummaryResource,
        *,
        options: SummaryApiOptions | None = None,
        raise_on_missing_output: bool = True,
        _explain: bool = False,
    ) -> dict[str, Any]:
        """Counts by function, class or place in the program."""
        options = options or SummaryApiOptions()
        look = Lookout(options.timeout)
        makers: dict[SummaryResource, Callable[[Lookout], dict[str, Any]]] = {
            SummaryResource.TASKS: _summary_of_tasks,
            SummaryResource.ACTORS: _summary_of_actors,
            SummaryResource.OBJECTS: _summary_of_objects,
        }
        made = makers[resource](look)
        _tell_missing(look, raise_on_missing_output)
        return {"cluster": made}


def _say(text: str, explain: bool) -> None:
    if explain:
        logging.getLogger("ray").info(text)


def _tell_missing(look: Lookout, raises: bool) -> None:
    missing = look.say_what_is_missing()
    if missing and raises and look.unanswered:
        raise RayStateApiException(f"The state is not complete: {missing}.")
    if missing:
        warnings.warn(missing, UserWarning, stacklevel=4)


def _checked(resource: StateResource, filters: list[Filter]) -> list[Filter]:
    """With the keys in small letters. RayStateApiException: a key that no row has, or that cannot be looked for."""
    possible = SCHEMAS[resource].filterable_columns()
    filters = [(key.lower(), predicate, value) for key, predicate, value in filters]
    for key, _, _ in filters:
        if key not in possible:
            raise RayStateApiException(
                f"The given filter column {key} is not supported for {resource.value}. Supported filter columns: "
                + ", ".join(sorted(possible))
            )
    return filters


def _rows(
    look: Lookout, resource: StateResource, filters: list[Filter], limit: int
) -> tuple[int, list[dict[str, Any]]]:
    def holds(row: dict[str, Any]) -> bool:
        return all(
            (str(row.get(key)).lower() == str(value).lower()) == (predicate == "=")
            for key, predicate, value in filters
        )

    if resource == StateResource.TASKS:
        return look.tasks(filters, limit, holds)
    rows = [row for row in getattr(look, resource.value)() if holds(row)]
    return len(rows), rows[:limit]


def _made(resource: StateResource, row: dict[str, Any], detail: bool) -> StateSchema:
    schema = SCHEMAS[resource]
    return schema(**{name: row.get(name) for name in schema.list_columns(detail)})


# ---- summaries ----


def _count(into: dict[str, int], key: str, by: int = 1) -> None:
    into[key] = into.get(key, 0) + by


def _summary_of_tasks(look: Lookout) -> dict[str, Any]:
    summary: dict[str, dict[str, Any]] = {}
    totals = {"NORMAL_TASK": 0, "ACTOR_TASK": 0, "ACTOR_CREATION_TASK": 0}

    def add(name: str, kind: str, state: str, count: int = 1) -> None:
        each = summary.setdefault(
            name, {"func_or_class_name": name, "type": kind, "state_counts": {}}
        )
        _count(each["state_counts"], state, count)
        totals[kind] += count

    for row in look.live_tasks() + look.creations():
        add(row["name"], row["type"], row["state"])
    for name, of_actor, state, count in look.unlisted_tasks():
        add(name, "ACTOR_TASK" if of_actor else "NORMAL_TASK", state, count)
    look.truncated = 0  # they are counted
    classes = _classes_of_methods(look)
    for block, number, of_actor, error, count in look.history.tally():
        form = block.names.forms.get(number, {})
        name = readable_name(form, of_actor)
        if of_actor and not form.get("name"):
            shown = classes(block, number, name)
            if shown is None:
                continue
            name = shown
        add(
            name,
            "ACTOR_TASK" if of_actor else "NORMAL_TASK",
            "FAILED" if error else "FINISHED",
            count,
        )
    dropped = look.say_what_was_dropped()
    if dropped:
        warnings.warn(dropped, UserWarning, stacklevel=4)
    return {
        "summary": summary,
        "total_tasks": totals["NORMAL_TASK"],
        "total_actor_tasks": totals["ACTOR_TASK"],
        "total_actor_scheduled": totals["ACTOR_CREATION_TASK"],
        "summary_by": "func_name",
    }


def _classes_of_methods(look: Lookout) -> Callable[[Any, int, str], str | None]:
    """A form is one handle's method, so any of its rows tells the actor. None: that is an internal one."""
    known: dict[tuple[int, int], str | None] = {}

    def name_of(block: Any, number: int, method: str) -> str | None:
        key = (block.proc, number)
        if key not in known:
            from ..._history import FORM

            _, rows = look.history.scan(block, [(FORM, False, [number])], 1)
            actor_id = block.names.actors.get(rows[0].actor, "")
            actor = look.actor_rows.get(actor_id)
            shown = f"{actor['class_name']}.{method}" if actor else method
            known[key] = None if actor_id in look.internal_actors else shown
        return known[key]

    return name_of


def _summary_of_actors(look: Lookout) -> dict[str, Any]:
    summary: dict[str, dict[str, Any]] = {}
    actors = look.actors()
    for actor in actors:
        name = actor["class_name"]
        each = summary.setdefault(name, {"class_name": name, "state_counts": {}})
        _count(each["state_counts"], actor["state"])
    return {"summary": summary, "total_actors": len(actors), "summary_by": "class"}


def _summary_of_objects(look: Lookout) -> dict[str, Any]:
    summary: dict[str, dict[str, Any]] = {}
    pids: dict[str, set[int]] = {}
    objects = look.objects()
    size_mb = 0.0
    for row in objects:
        key = row["call_site"]
        each = summary.setdefault(
            key,
            {
                "total_objects": 0,
                "total_size_mb": 0.0,
                "total_num_workers": 0,
                "total_num_nodes": 1,
                "task_state_counts": {},
                "task_attempt_number_counts": {},
                "ref_type_counts": {},
            },
        )
        each["total_objects"] += 1
        mb = max(0, row["object_size"]) / 1024**2
        each["total_size_mb"] += mb
        size_mb += mb
        pids.setdefault(key, set()).add(row["pid"])
        each["total_num_workers"] = len(pids[key])
        _count(each["task_state_counts"], row["task_status"])
        _count(each["task_attempt_number_counts"], str(row["attempt_number"]))
        _count(each["ref_type_counts"], row["reference_type"])
    return {
        "summary": summary,
        "total_objects": len(objects),
        "total_size_mb": size_mb,
        "callsite_enabled": all(row["call_site"] != "disabled" for row in objects),
        "summary_by": "callsite",
    }


# ---- the functions ----


def _list(resource: StateResource, address: str | None, options: dict[str, Any]) -> list[Any]:
    raises, explain = options.pop("raise_on_missing_output"), options.pop("_explain")
    return StateApiClient(address).list(resource, ListApiOptions(**options), raises, explain)


def list_actors(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ActorState]:
    """Actors, living and remembered."""
    options = {k: v for k, v in locals().items() if k != "address"}
    return _list(StateResource.ACTORS, address, options)


def list_placement_groups(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[PlacementGroupState]:
    """Placement groups."""
    options = {k: v for k, v in locals().items() if k != "address"}
    return _list(StateResource.PLACEMENT_GROUPS, address, options)


def list_nodes(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[NodeState]:
    """Nodes."""
    options = {k: v for k, v in locals().items() if k != "address"}
    return _list(StateResource.NODES, address, options)


def list_jobs(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[JobState]:
    """Jobs: a row for each driver."""
    options = {k: v for k, v in locals().items() if k != "address"}
    return _list(StateResource.JOBS, address, options)


def list_workers(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[WorkerState]:
    """Workers and drivers, ended ones too, with how they ended."""
    options = {k: v for k, v in locals().items() if k != "address"}
    return _list(StateResource.WORKERS, address, options)


def list_tasks(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[TaskState]:
    """Attempts of tasks: those that have not ended first, then the newest. Unlike in Ray nothing is forgotten within
    history_bytes_max, and `limit` has no upper limit."""
    options = {k: v for k, v in locals().items() if k != "address"}
    return _list(StateResource.TASKS, address, options)


def list_objects(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ObjectState]:
    """References: a row for each process that holds an object. Where objects were made is recorded if
    RAY_record_ref_creation_sites=1 stands in the environment of the program."""
    options = {k: v for k, v in locals().items() if k != "address"}
    return _list(StateResource.OBJECTS, address, options)


def list_runtime_envs(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[RuntimeEnvState]:
    """Runtime environments in use."""
    options = {k: v for k, v in locals().items() if k != "address"}
    return _list(StateResource.RUNTIME_ENVS, address, options)


def list_cluster_events(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ClusterEventState]:
    """What happened to the cluster's processes, the oldest first."""
    options = {k: v for k, v in locals().items() if k != "address"}
    return _list(StateResource.CLUSTER_EVENTS, address, options)


def _get(
    resource: StateResource, address: str | None, id: str, timeout: float, explain: bool
) -> Any:
    return StateApiClient(address).get(resource, id, GetApiOptions(timeout=timeout), explain)


def get_actor(
    id: str,
    address: str | None = None,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> ActorState | None:
    """The actor with this id, or None."""
    found: ActorState | None = _get(StateResource.ACTORS, address, id, timeout, _explain)
    return found


def get_job(
    id: str,
    address: str | None = None,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> JobState | None:
    """The job with this id, or None."""
    found: JobState | None = _get(StateResource.JOBS, address, id, timeout, _explain)
    return found


def get_placement_group(
    id: str,
    address: str | None = None,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> PlacementGroupState | None:
    """The placement group with this id, or None."""
    found: PlacementGroupState | None = _get(
        StateResource.PLACEMENT_GROUPS, address, id, timeout, _explain
    )
    return found


def get_node(
    id: str,
    address: str | None = None,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> NodeState | None:
    """The node with this id, or None."""
    found: NodeState | None = _get(StateResource.NODES, address, id, timeout, _explain)
    return found


def get_worker(
    id: str,
    address: str | None = None,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> WorkerState | None:
    """The worker with this id, or None."""
    found: WorkerState | None = _get(StateResource.WORKERS, address, id, timeout, _explain)
    return found


def get_task(
    id: str | Any,
    address: str | None = None,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> TaskState | list[TaskState] | None:
    """The task with this id, or that makes this ObjectRef; a list, by attempt, if it was tried more than once;
    None if there is none."""
    task_id: str = id if isinstance(id, str) else id.task_id().hex()
    found: Any = _get(StateResource.TASKS, address, task_id, timeout, _explain)
    return found  # type: ignore[no-any-return]


def get_objects(
    id: str,
    address: str | None = None,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    _explain: bool = False,
) -> list[ObjectState]:
    """Of the object with this id: a row for each process that holds it."""
    found: list[ObjectState] = _get(StateResource.OBJECTS, address, id, timeout, _explain)
    return found


def _summarize(
    resource: SummaryResource, address: str | None, timeout: float, raises: bool, explain: bool
) -> dict[str, Any]:
    return StateApiClient(address).summary(
        resource,
        options=SummaryApiOptions(timeout=timeout),
        raise_on_missing_output=raises,
        _explain=explain,
    )


def summarize_tasks(
    address: str | None = None,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """Counts of all attempts by function and state: {"cluster": {"summary": ..., "total_tasks": ...}}."""
    return _summarize(SummaryResource.TASKS, address, timeout, raise_on_missing_output, _explain)


def summarize_actors(
    address: str | None = None,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """Counts of actors by class and state."""
    return _summarize(SummaryResource.ACTORS, address, timeout, raise_on_missing_output, _explain)


def summarize_objects(
    address: str | None = None,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """Counts and sizes of references by the place where they were made."""
    return _summarize(SummaryResource.OBJECTS, address, timeout, raise_on_missing_output, _explain)


def list_logs(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    glob_filter: str | None = None,
    timeout: float = DEFAULT_RPC_TIMEOUT,
) -> dict[str, list[str]]:
    """Names of log files by what writes them: worker_out, worker_err, node, control and others."""
    from ..._state_logs import listed

    connect(address)
    return listed(Lookout(timeout), node_id, node_ip, glob_filter or "*")


def get_log(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    filename: str | None = None,
    actor_id: str | None = None,
    task_id: str | None = None,
    pid: int | None = None,
    follow: bool = False,
    tail: int = -1,
    timeout: float = DEFAULT_RPC_TIMEOUT,
    suffix: str = "out",
    encoding: str | None = "utf-8",
    errors: str | None = "strict",
    submission_id: str | None = None,
    attempt_number: int = 0,
    _interval: float | None = None,
    filter_ansi_code: bool = False,
) -> Iterator[Any]:
    """Chunks of a log: of a file by name, or of the worker that ran an actor or a task or has a pid. `tail`: lines
    from its end, -1 for all. `follow`: goes on as it grows, looking every `_interval` seconds. RayStateApiException:
    there is no such log."""
    from ..._state_logs import Wanted, chunks

    connect(address)
    wanted = Wanted(
        node_id=node_id,
        node_ip=node_ip,
        filename=filename,
        actor_id=actor_id,
        task_id=task_id,
        pid=pid,
        suffix=suffix,
        submission_id=submission_id,
        attempt_number=attempt_number,
    )
    for chunk in chunks(Lookout(timeout), wanted, tail, follow, _interval, filter_ansi_code):
        yield chunk if encoding is None else chunk.decode(encoding, errors or "strict")
