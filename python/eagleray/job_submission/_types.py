"""What is said about jobs, as values. Names and fields follow Ray 2.60."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any, TypeVar

_T = TypeVar("_T")


class JobStatus(str, Enum):
    """PENDING (it waits for resources or its environment), RUNNING, and three that are final: STOPPED (somebody
    asked for it), SUCCEEDED (exit status 0), FAILED."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    def __str__(self) -> str:
        return self.value

    def is_terminal(self) -> bool:
        return self in (JobStatus.STOPPED, JobStatus.SUCCEEDED, JobStatus.FAILED)


class JobErrorType(str, Enum):
    """Why a job failed, for programs; `message` has it for people."""

    RUNTIME_ENV_SETUP_FAILURE = "RUNTIME_ENV_SETUP_FAILURE"
    JOB_SUPERVISOR_ACTOR_START_TIMEOUT = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
    JOB_SUPERVISOR_ACTOR_START_FAILURE = "JOB_SUPERVISOR_ACTOR_START_FAILURE"
    JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE = "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE"
    JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE = "JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE"
    JOB_SUPERVISOR_ACTOR_DIED = "JOB_SUPERVISOR_ACTOR_DIED"
    JOB_ENTRYPOINT_COMMAND_START_ERROR = "JOB_ENTRYPOINT_COMMAND_START_ERROR"
    JOB_ENTRYPOINT_COMMAND_ERROR = "JOB_ENTRYPOINT_COMMAND_ERROR"


class JobType(str, Enum):
    """SUBMISSION: by submit_job(). DRIVER: a program that has called init() by itself."""

    SUBMISSION = "SUBMISSION"
    DRIVER = "DRIVER"


_MESSAGES = {
    JobStatus.RUNNING: "Job is currently running.",
    JobStatus.STOPPED: "Job was intentionally stopped.",
    JobStatus.SUCCEEDED: "Job finished successfully.",
    JobStatus.FAILED: "Job failed.",
}


@dataclass
class JobInfo:
    """A submitted job as the cluster keeps it. Times are Unix time in milliseconds."""

    status: JobStatus
    entrypoint: str
    message: str | None = None
    error_type: JobErrorType | None = None
    start_time: int | None = None
    end_time: int | None = None
    metadata: dict[str, str] | None = None
    runtime_env: dict[str, Any] | None = None
    entrypoint_num_cpus: int | float | None = None
    entrypoint_num_gpus: int | float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: dict[str, float] | None = None
    driver_agent_http_address: str | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None

    def __post_init__(self) -> None:
        self.status = JobStatus(self.status)
        if self.message is None:
            self.message = _MESSAGES.get(self.status) or self._pending_message()

    def _pending_message(self) -> str:
        said = ["Job has not started yet."]
        if self.wants_resources():
            said.append(
                "It may be waiting for resources (CPUs, GPUs, memory, custom resources) to become available."
            )
        if self.runtime_env:
            said.append("It may be waiting for the runtime environment to be set up.")
        return " ".join(said)

    def wants_resources(self) -> bool:
        """Whether its entry point was given resources of its own."""
        return bool(
            self.entrypoint_num_cpus
            or self.entrypoint_num_gpus
            or self.entrypoint_memory
            or self.entrypoint_resources
        )

    def to_json(self) -> dict[str, Any]:
        """As a dict for JSON; the runtime environment is text in it, `runtime_env_json`."""
        made = asdict(self)
        made["status"] = self.status.value
        made["error_type"] = self.error_type.value if self.error_type else None
        env = made.pop("runtime_env")
        if env is not None:
            made["runtime_env_json"] = json.dumps(env)
        return made

    @classmethod
    def from_json(cls, json_dict: dict[str, Any]) -> JobInfo:
        """The inverse of to_json(). ValueError for an unknown status."""
        given = dict(json_dict)
        env = given.pop("runtime_env_json", None)
        error = given.pop("error_type", None)
        return known_fields(
            cls,
            {
                **given,
                "runtime_env": json.loads(env) if env is not None else None,
                "error_type": JobErrorType(error) if error else None,
            },
        )


@dataclass
class DriverInfo:
    """The program of a job: the job's id in the core, its address, its process."""

    id: str
    node_ip_address: str
    pid: str


@dataclass
class JobDetails:
    """What get_job_info() and list_jobs() give: JobInfo's fields, and who drives the job.

    job_id: of the (last) driver that the job has started, if it uses the cluster. submission_id: of a job of
    submit_job().
    """

    type: JobType
    status: JobStatus
    entrypoint: str
    job_id: str | None = None
    submission_id: str | None = None
    driver_info: DriverInfo | None = None
    message: str | None = None
    error_type: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    metadata: dict[str, str] | None = None
    runtime_env: dict[str, Any] | None = None
    driver_agent_http_address: str | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None

    def __post_init__(self) -> None:
        self.type = JobType(self.type)
        self.status = JobStatus(self.status)
        if isinstance(self.driver_info, dict):
            self.driver_info = DriverInfo(**self.driver_info)

    def dict(self) -> dict[str, Any]:
        """For JSON."""
        made = asdict(self)
        made["type"], made["status"] = self.type.value, self.status.value
        if isinstance(self.error_type, JobErrorType):
            made["error_type"] = self.error_type.value
        return made

    @classmethod
    def of(cls, submission_id: str, info: JobInfo, driver: DriverInfo | None) -> JobDetails:
        given = {f.name: getattr(info, f.name) for f in fields(info)}
        return known_fields(
            cls,
            {
                **given,
                "type": JobType.SUBMISSION,
                "submission_id": submission_id,
                "job_id": driver.id if driver else None,
                "driver_info": driver,
            },
        )


def known_fields(cls: type[_T], given: dict[str, Any]) -> _T:
    """The dataclass from what it knows of `given`: a newer or an older program may know other fields."""
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in given.items() if name in known})


@dataclass
class JobRequest:
    """What submit_job() asks for. TypeError, as in Ray, for what is of another type."""

    entrypoint: str
    submission_id: str | None = None
    job_id: str | None = None
    runtime_env: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    entrypoint_num_cpus: int | float | None = None
    entrypoint_num_gpus: int | float | None = None
    entrypoint_memory: int | None = None
    entrypoint_resources: dict[str, float] | None = None
    entrypoint_label_selector: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.entrypoint, str):
            raise TypeError(f"entrypoint must be a string, got {type(self.entrypoint)}")
        number = (int, float)
        for name, types, words in (
            ("submission_id", (str,), "a string if provided"),
            ("job_id", (str,), "a string if provided"),
            ("entrypoint_num_cpus", number, "a number"),
            ("entrypoint_num_gpus", number, "a number"),
            ("entrypoint_memory", (int,), "an integer"),
        ):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, types) or isinstance(value, bool)):
                raise TypeError(f"{name} must be {words}, got {type(value)}")
        self._check_dict("runtime_env", (object,), "")
        self._check_dict("metadata", (str,), "strings")
        self._check_dict("entrypoint_resources", number, "numbers")
        self._check_dict("entrypoint_label_selector", (str,), "strings")

    def _check_dict(self, name: str, values: tuple[type, ...], words: str) -> None:
        given = getattr(self, name)
        if given is None:
            return
        if not isinstance(given, dict):
            raise TypeError(f"{name} must be a dict, got {type(given)}")
        for key, value in given.items():
            if not isinstance(key, str):
                raise TypeError(f"{name} keys must be strings, got {type(key)}")
            if not isinstance(value, values):
                raise TypeError(f"{name} values must be {words}, got {type(value)}")
