"""ExternalMultiAgentEnv, by its module's name in Ray."""

from __future__ import annotations

from .external_env import ExternalMultiAgentEnv

__all__ = ["ExternalMultiAgentEnv"]
