"""Environments that call the policy instead of being called. By name only."""

from __future__ import annotations

from typing import Any

__all__ = ["ExternalEnv", "ExternalMultiAgentEnv"]


class ExternalEnv:
    """Not implemented: making one raises NotImplementedError."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(
            f"{type(self).__name__}, policy servers and clients are not implemented in eagleray.rllib"
        )


class ExternalMultiAgentEnv(ExternalEnv):
    """Not implemented: making one raises NotImplementedError."""
