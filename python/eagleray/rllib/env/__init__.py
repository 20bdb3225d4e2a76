"""Environments."""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {
    "BaseEnv": ".base_env",
    "EnvContext": ".env_context",
    "ExternalEnv": ".external_env",
    "ExternalMultiAgentEnv": ".external_env",
    "MultiAgentEnv": ".multi_agent_env",
    "VectorEnv": ".vector_env",
    "PettingZooEnv": ".wrappers.pettingzoo_env",
    "ParallelPettingZooEnv": ".wrappers.pettingzoo_env",
}
__all__ = [
    "BaseEnv",
    "EnvContext",
    "ExternalEnv",
    "ExternalMultiAgentEnv",
    "MultiAgentEnv",
    "ParallelPettingZooEnv",
    "PettingZooEnv",
    "VectorEnv",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
