"""What a job is given beside its code: JobConfig and LoggingConfig, as `init(job_config=, logging_config=)` take
them. Follows Ray 2.60."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from ._logging import STANDARD

__all__ = ["JobConfig", "LoggingConfig"]

_ENCODINGS = ("TEXT", "JSON")


@dataclass
class LoggingConfig:
    """How the root logger of the driver and of every worker writes.

    encoding: "TEXT", or "JSON" for one object a line with job, worker, node, task and actor.
    log_level: a level of the logging module by name.
    additional_log_standard_attrs: further attributes of logging.LogRecord to write.
    ValueError for an unknown encoding, level or attribute.
    """

    encoding: str = "TEXT"
    log_level: str = "INFO"
    additional_log_standard_attrs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.encoding not in _ENCODINGS:
            raise ValueError(f"Invalid encoding type: {self.encoding}. Valid: {list(_ENCODINGS)}")
        if not isinstance(logging.getLevelName(self.log_level), int):
            raise ValueError(f"Invalid log level: {self.log_level}")
        for name in self.additional_log_standard_attrs:
            if name not in STANDARD:
                raise ValueError(f"Unknown python logging standard attribute: {name}")


class JobConfig:
    """A job's settings: runtime environment, namespace, metadata, default lifetime of its actors."""

    def __init__(
        self,
        jvm_options: list[str] | None = None,
        code_search_path: list[str] | None = None,
        runtime_env: dict[str, Any] | None = None,
        metadata: dict[str, str] | None = None,
        ray_namespace: str | None = None,
        default_actor_lifetime: str = "non_detached",
    ) -> None:
        if jvm_options or code_search_path:
            raise NotImplementedError(
                "jvm_options and code_search_path are not implemented yet in eagleray (part of: calls "
                "across languages)"
            )
        self.metadata = dict(metadata or {})
        self.ray_namespace = ray_namespace
        self.runtime_env: dict[str, Any] = {}
        self.py_logging_config: LoggingConfig | None = None
        self.set_runtime_env(runtime_env)
        self.set_default_actor_lifetime(default_actor_lifetime)

    def set_metadata(self, key: str, value: str) -> None:
        self.metadata[key] = value

    def set_ray_namespace(self, ray_namespace: str) -> None:
        self.ray_namespace = ray_namespace

    def set_runtime_env(self, runtime_env: dict[str, Any] | None, validate: bool = False) -> None:
        self.runtime_env = dict(runtime_env or {})

    def set_default_actor_lifetime(self, default_actor_lifetime: str) -> None:
        """One of "detached" and "non_detached"; otherwise ValueError."""
        if default_actor_lifetime not in ("detached", "non_detached"):
            raise ValueError("Default actor lifetime must be one of `detached`, `non_detached`")
        self.default_actor_lifetime = default_actor_lifetime

    def set_py_logging_config(self, logging_config: LoggingConfig | None = None) -> None:
        self.py_logging_config = logging_config

    @classmethod
    def from_json(cls, job_config_json: dict[str, Any]) -> JobConfig:
        return cls(
            runtime_env=job_config_json.get("runtime_env"),
            metadata=job_config_json.get("metadata"),
            ray_namespace=job_config_json.get("ray_namespace"),
        )
