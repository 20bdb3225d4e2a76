"""Runtime environments: the directory, modules, packages and variables that tasks and actors run with."""

from .runtime_env import RuntimeEnv, RuntimeEnvConfig

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]
