"""Environments."""

from __future__ import annotations

from ..utils.lazy import lazily

_PLACES = {
    "BaseEnv": ".base_env",
    "EnvContext": ".env_context",
    "ExternalEnv": ".external_env",
    "ExternalMultiAgentEnv": ".external_env",
    "MultiAgentEnv": ".multi_agent_env",
    "ParallelPettingZooEnv": ".wrappers.pettingzoo_env",
    "PettingZooEnv": ".wrappers.pettingzoo_env",
    "VectorEnv": ".vector_env",
}
__all__ = list(_PLACES)
__getattr__ = lazily(__name__, _PLACES)
