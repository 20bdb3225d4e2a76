"""What the state API speaks of: a dataclass for each kind of row, with Ray's names of fields. A column marked
`detail` is None unless it was asked for; one that is not `filterable` cannot stand in a filter."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from enum import Enum, unique
from typing import Any

from ... import _planned
from ...job_submission._types import DriverInfo, JobStatus, JobType

DEFAULT_RPC_TIMEOUT = 30
DEFAULT_LIMIT = 100
DEFAULT_LOG_LIMIT = 1000

SupportedFilterType = str | bool | int | float
PredicateType = str  # "=" or "!="
Filter = tuple[str, PredicateType, SupportedFilterType]


@unique
class StateResource(Enum):
    ACTORS = "actors"
    JOBS = "jobs"
    PLACEMENT_GROUPS = "placement_groups"
    NODES = "nodes"
    WORKERS = "workers"
    TASKS = "tasks"
    OBJECTS = "objects"
    RUNTIME_ENVS = "runtime_envs"
    CLUSTER_EVENTS = "cluster_events"


@unique
class SummaryResource(Enum):
    ACTORS = "actors"
    TASKS = "tasks"
    OBJECTS = "objects"


@dataclass
class ListApiOptions:
    """`limit`: rows that are returned. `timeout`: seconds for all processes to answer. `detail`: all columns.
    `filters`: (key, "=" or "!=", value), all of which must hold; keys in small or capital letters.
    `exclude_driver`: kept for Ray's sake. ValueError for what cannot be meant."""

    limit: int = DEFAULT_LIMIT
    timeout: float = DEFAULT_RPC_TIMEOUT
    detail: bool = False
    filters: list[Filter] | None = field(default_factory=list)
    exclude_driver: bool = True

    def __post_init__(self) -> None:
        self.limit = int(self.limit)
        if self.limit < 0:
            raise ValueError(f"limit must be 0 or more, not {self.limit}")
        self.filters = list(self.filters or [])
        for each in self.filters:
            if isinstance(each, str) or len(each) != 3:
                raise ValueError(f"a filter is (key, predicate, value), not {each!r}")
            if each[1] not in ("=", "!="):
                raise ValueError(
                    f"Unsupported filter predicate {each[1]} is given. Available predicates: =, !=."
                )


@dataclass
class GetApiOptions:
    """`timeout`: seconds for all processes to answer."""

    timeout: float = DEFAULT_RPC_TIMEOUT


@dataclass
class SummaryApiOptions:
    """As ListApiOptions. `summary_by`: what rows are counted by; None: Ray's default for the resource."""

    timeout: float = DEFAULT_RPC_TIMEOUT
    filters: list[Filter] | None = field(default_factory=list)
    summary_by: str | None = None


def _when(ms: float) -> str | None:
    """0: it has not come yet; -1: it is not known."""
    return None if not ms else "" if ms == -1 else str(datetime.datetime.fromtimestamp(ms / 1000))


def _size(count: float) -> str:
    if count < 0:
        return "?"
    unit = "B"
    for larger in ("KiB", "MiB", "GiB"):
        if count >= 1024:
            count, unit = count / 1024, larger
    return f"{count:.3f} {unit}"


def _resources(amounts: dict[str, Any]) -> dict[str, Any]:
    return {k: _size(v) if "memory" in k else v for k, v in amounts.items()}


def _events(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "created_ms": _when(each["created_ms"])} for each in events]


def state_column(
    *,
    filterable: bool,
    detail: bool = False,
    format_fn: Callable[[Any], Any] | None = None,
    **kwargs: Any,
) -> Any:
    """A field of a row's dataclass. `format_fn`: how people read it."""
    kwargs.setdefault("default", None)
    metadata = {"detail": detail, "filterable": filterable, "format_fn": format_fn}
    return field(metadata=metadata, **kwargs)


def _shown(**kwargs: Any) -> Any:
    return state_column(filterable=False, **kwargs)


def _key(**kwargs: Any) -> Any:
    return state_column(filterable=True, **kwargs)


@dataclass
class StateSchema:
    """A row: its columns are attributes, and items for programs written for older Rays."""

    @classmethod
    def list_columns(cls, detail: bool = True) -> list[str]:
        return [f.name for f in fields(cls) if detail or not f.metadata.get("detail")]

    @classmethod
    def columns(cls) -> set[str]:
        return set(cls.list_columns())

    @classmethod
    def filterable_columns(cls) -> set[str]:
        return {f.name for f in fields(cls) if f.metadata.get("filterable")}

    @classmethod
    def base_columns(cls) -> set[str]:
        return set(cls.list_columns(detail=False))

    @classmethod
    def detail_columns(cls) -> set[str]:
        return set(cls.list_columns())

    @classmethod
    def humanify(cls, state: dict[str, Any]) -> dict[str, Any]:
        """The row with times and sizes as people read them."""
        for f in fields(cls):
            format_fn = f.metadata.get("format_fn")
            if format_fn and state.get(f.name) is not None:
                state[f.name] = format_fn(state[f.name])
        return state

    def asdict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)

    def get(self, key: str, default: Any = None) -> Any:
        return getattr(self, key, default)


@dataclass
class ActorState(StateSchema):
    """An actor, living or remembered (setting dead_actors_max)."""

    actor_id: str = _key()
    class_name: str = _key()
    state: str = _key()  # DEPENDENCIES_UNREADY PENDING_CREATION ALIVE RESTARTING DEAD
    job_id: str = _key()
    name: str | None = _key()
    node_id: str | None = _key()
    pid: int | None = _key()  # 0: none
    ray_namespace: str | None = _key()
    serialized_runtime_env: str | None = _shown(detail=True)
    required_resources: dict[str, Any] | None = _shown(detail=True)
    death_cause: dict[str, Any] | None = _shown(detail=True)
    is_detached: bool | None = _shown(detail=True)
    placement_group_id: str | None = _key(detail=True)
    repr_name: str | None = _key(detail=True)
    num_restarts: int | None = _shown(detail=True)
    num_restarts_due_to_lineage_reconstruction: int | None = _shown(detail=True)
    num_restarts_due_to_node_preemption: int | None = _shown(detail=True)
    call_site: str | None = _shown(detail=True)
    label_selector: dict[str, Any] | None = _shown(detail=True)
    fallback_strategy: dict[str, Any] | None = _shown(detail=True)


@dataclass
class PlacementGroupState(StateSchema):
    """A placement group; removed ones are remembered for a while."""

    placement_group_id: str = _key()
    name: str = _key()
    creator_job_id: str = _key()
    state: str = _key()  # PENDING CREATED REMOVED
    bundles: list[dict[str, Any]] | None = _shown(detail=True)
    is_detached: bool | None = _key(detail=True)
    stats: dict[str, Any] | None = _shown(detail=True)
    topology_strategy: dict[str, Any] | None = _shown(detail=True)
    topology_assignments: dict[str, Any] | None = _shown(detail=True)


@dataclass
class NodeState(StateSchema):
    """A node."""

    node_id: str = _key()
    node_ip: str = _key()
    is_head_node: bool = _key()
    state: str = _key()  # ALIVE DEAD
    state_message: str | None = _shown()
    node_name: str = _key()
    resources_total: dict[str, Any] = _shown(format_fn=_resources)
    labels: dict[str, str] = _shown()
    start_time_ms: int | None = _shown(detail=True, format_fn=_when)
    end_time_ms: int | None = _shown(detail=True, format_fn=_when)


@dataclass
class JobState(StateSchema):
    """A driver's job, or one that was submitted."""

    job_id: str | None = _key()
    submission_id: str | None = _key()
    entrypoint: str = _shown()
    type: JobType = _key()
    status: JobStatus = _key()
    message: str | None = _shown()
    error_type: str | None = _shown()
    driver_info: DriverInfo | None = _shown()
    start_time: int | None = _shown(detail=True, format_fn=_when)
    end_time: int | None = _shown(detail=True, format_fn=_when)
    metadata: dict[str, str] | None = _shown(detail=True)
    runtime_env: dict[str, Any] | None = _shown(detail=True)
    driver_agent_http_address: str | None = _shown(detail=True)
    driver_node_id: str | None = _shown(detail=True)
    driver_exit_code: int | None = _shown(detail=True)

    def __post_init__(self) -> None:
        self.type, self.status = JobType(self.type), JobStatus(self.status)
        if isinstance(self.driver_info, dict):
            self.driver_info = DriverInfo(**self.driver_info)

    def asdict(self) -> dict[str, Any]:
        """For JSON and YAML."""
        driver = self.driver_info and asdict(self.driver_info)
        plain = {"type": self.type.value, "status": self.status.value, "driver_info": driver}
        return {**super().asdict(), **plain}


@dataclass
class WorkerState(StateSchema):
    """A worker or driver; ended ones stay as long as the node's events do."""

    worker_id: str = _key()
    is_alive: bool = _key()
    worker_type: str = _key()  # WORKER DRIVER
    exit_type: str | None = _key()
    node_id: str = _key()
    ip: str = _key()
    pid: int = _key()
    exit_detail: str | None = _shown(detail=True)
    worker_launch_time_ms: int | None = _shown(detail=True, format_fn=_when)
    worker_launched_time_ms: int | None = _shown(detail=True, format_fn=_when)
    start_time_ms: int | None = _shown(detail=True, format_fn=_when)
    end_time_ms: int | None = _shown(detail=True, format_fn=_when)
    debugger_port: int | None = _key(detail=True)
    num_paused_threads: int | None = _key(detail=True)


@dataclass
class ClusterEventState(StateSchema):
    """Something that happened to a process of the cluster."""

    severity: str = _key()
    time: str = _shown()
    source_type: str = _key()
    message: str = _shown()
    event_id: str = _key()
    custom_fields: dict[str, Any] | None = _shown(detail=True)


@dataclass
class TaskState(StateSchema):
    """An attempt of a task: one that has ended, of the history, or one that has not, as its owner says."""

    task_id: str = _key()
    attempt_number: int = _key()
    name: str = _key()
    state: str = _key()
    job_id: str = _key()
    actor_id: str | None = _key()
    type: str = _key()  # NORMAL_TASK ACTOR_CREATION_TASK ACTOR_TASK
    func_or_class_name: str = _key()
    parent_task_id: str = _key()
    node_id: str | None = _key()
    worker_id: str | None = _key()
    worker_pid: int | None = _key()
    error_type: str | None = _key()
    language: str | None = _key(detail=True)
    required_resources: dict[str, Any] | None = _shown(detail=True)
    runtime_env_info: dict[str, Any] | None = _shown(detail=True)
    placement_group_id: str | None = _key(detail=True)
    events: list[dict[str, Any]] | None = _shown(detail=True, format_fn=_events)
    profiling_data: dict[str, Any] | None = _shown(detail=True)
    creation_time_ms: int | None = _shown(detail=True, format_fn=_when)
    start_time_ms: int | None = _shown(detail=True, format_fn=_when)
    end_time_ms: int | None = _shown(detail=True, format_fn=_when)
    task_log_info: dict[str, Any] | None = _shown(detail=True)
    error_message: str | None = _shown(detail=True)
    is_debugger_paused: bool | None = _key(detail=True)
    call_site: str | None = _shown(detail=True)
    label_selector: dict[str, Any] | None = _shown(detail=True)
    fallback_strategy: dict[str, Any] | None = _shown(detail=True)


@dataclass
class ObjectState(StateSchema):
    """A reference that a process holds to an object; `pid`: of the process that holds it. Beyond Ray's columns:
    the owner, and who borrows it."""

    object_id: str = _key()
    object_size: int = _key(format_fn=_size)  # -1: not known
    task_status: str = _key()
    attempt_number: int = _key()
    reference_type: str = _key()
    call_site: str = _key()
    type: str = _key()  # WORKER DRIVER
    pid: int = _key()
    ip: str = _key()
    owner_worker_id: str | None = _key(detail=True)
    owner_pid: int | None = _key(detail=True)
    borrower_pids: list[int] | None = _shown(detail=True)
    local_ref_count: int | None = _shown(detail=True)


@dataclass
class RuntimeEnvState(StateSchema):
    """A runtime environment that workers or actors use."""

    runtime_env: dict[str, Any] = _key()
    success: bool = _key()
    creation_time_ms: float | None = _shown()
    node_id: str = _key()
    ref_cnt: int | None = _shown(detail=True)
    error: str | None = _key(detail=True)


SCHEMAS: dict[StateResource, type[StateSchema]] = {
    StateResource.ACTORS: ActorState,
    StateResource.JOBS: JobState,
    StateResource.PLACEMENT_GROUPS: PlacementGroupState,
    StateResource.NODES: NodeState,
    StateResource.WORKERS: WorkerState,
    StateResource.TASKS: TaskState,
    StateResource.OBJECTS: ObjectState,
    StateResource.RUNTIME_ENVS: RuntimeEnvState,
    StateResource.CLUSTER_EVENTS: ClusterEventState,
}
AVAILABLE_STATES = list(SCHEMAS.values())


def resource_to_schema(resource: StateResource) -> type[StateSchema]:
    """The dataclass of its rows."""
    return SCHEMAS[resource]


__getattr__ = _planned.lazily(__name__)
