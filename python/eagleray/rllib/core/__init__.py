"""RLModules and their column names, as Ray 2.x has them."""

from __future__ import annotations

from .columns import Columns

ALL_MODULES = "__all_modules__"
COMPONENT_ENV_RUNNER = "env_runner"
COMPONENT_ENV_TO_MODULE_CONNECTOR = "env_to_module_connector"
COMPONENT_EVAL_ENV_RUNNER = "eval_env_runner"
COMPONENT_LEARNER = "learner"
COMPONENT_LEARNER_GROUP = "learner_group"
COMPONENT_METRICS_LOGGER = "metrics_logger"
COMPONENT_MODULE_TO_ENV_CONNECTOR = "module_to_env_connector"
COMPONENT_OPTIMIZER = "optimizer"
COMPONENT_RL_MODULE = "rl_module"
DEFAULT_AGENT_ID = "default_agent"
DEFAULT_MODULE_ID = DEFAULT_POLICY_ID = "default_policy"

__all__ = ["Columns", *(name for name in dir() if name.startswith(("COMPONENT_", "DEFAULT_")))]
