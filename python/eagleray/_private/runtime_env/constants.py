"""Names of variables of the environment, as programs import them from Ray."""

from __future__ import annotations

RAY_JOB_CONFIG_JSON_ENV_VAR = (
    "RAY_JOB_CONFIG_JSON_ENV_VAR"  # of a job's program: what was submitted with it
)

__all__ = ["RAY_JOB_CONFIG_JSON_ENV_VAR"]
