"""The other side of a supervisor: `init()` in the program that a job runs takes on the job's environment and
metadata, and says which driver belongs to the job."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from .._ids import JobID
from .._init_arguments import JOB_CONFIG_VARIABLE
from ..job_config import JobConfig
from ._table import DRIVER, SPACE


class Submitted:
    """What RAY_JOB_CONFIG_JSON_ENV_VAR says, with what the program itself asks for. ValueError when both set the same
    field, or the same variable, to different values; RAY_OVERRIDE_JOB_RUNTIME_ENV=1 lets the program win."""

    def __init__(self, environment: Mapping[str, str], runtime_env: Any, job_config: Any) -> None:
        given = json.loads(environment[JOB_CONFIG_VARIABLE])
        own = runtime_env or getattr(job_config, "runtime_env", None) or {}
        override = environment.get("RAY_OVERRIDE_JOB_RUNTIME_ENV") == "1"
        self.metadata = dict(given.get("metadata") or {})
        self.runtime_env = _merged(dict(given.get("runtime_env") or {}), dict(own), override)
        self.job_config = job_config or JobConfig()
        self.job_config.metadata = {**self.metadata, **self.job_config.metadata}

    def report(self, core: Any) -> None:
        submission_id = self.metadata.get("job_submission_id")
        if submission_id:
            info = core.info()
            driver = {
                "id": JobID.from_int(info["job_id"]).hex(),
                "node_ip_address": info["node_ip"],
                "pid": str(os.getpid()),
            }
            core.kv_put(SPACE, DRIVER + submission_id.encode(), json.dumps(driver).encode(), True)


def _merged(job: dict[str, Any], own: dict[str, Any], override: bool) -> dict[str, Any]:
    variables = {**(job.get("env_vars") or {})}
    for name, value in (own.get("env_vars") or {}).items():
        if not override and variables.get(name, value) != value:
            raise ValueError(_conflict(f"env_vars[{name!r}]"))
        variables[name] = value
    for name, value in own.items():
        if name != "env_vars" and not override and job.get(name, value) != value:
            raise ValueError(_conflict(name))
    merged = {**job, **own}
    if variables:
        merged["env_vars"] = variables
    return merged


def _conflict(what: str) -> str:
    return (
        f"Failed to merge the job's runtime_env with that of init(): {what} is in both, with different values. "
        "Leave it out in one of them, or set RAY_OVERRIDE_JOB_RUNTIME_ENV=1 so that init()'s counts."
    )
