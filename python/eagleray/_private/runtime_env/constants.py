"""Names of variables of the environment, as programs import them from Ray."""

from __future__ import annotations

from ..._init_arguments import JOB_CONFIG_VARIABLE as RAY_JOB_CONFIG_JSON_ENV_VAR

__all__ = ["RAY_JOB_CONFIG_JSON_ENV_VAR"]
