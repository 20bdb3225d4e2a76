"""Several multi-agent environments, stepped one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .adapter import reset_env, step_env

__all__ = ["MultiAgentVector"]


class MultiAgentVector:
    """`where` is (what, index) while one of the environments is running: what a hang is traced to."""

    def __init__(self, envs: Sequence[Any], make_env: Callable[[int], Any]) -> None:
        self.envs = list(envs)
        self.num_envs = len(self.envs)
        self._make_env = make_env
        self.where: tuple[str, int] | None = None

    def reset_at(
        self, index: int, *, seed: int | None = None
    ) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Observations of the agents that act first, and infos."""
        self.where = ("reset", index)
        result = reset_env(self.envs[index], seed)
        self.where = None
        return result

    def step_at(self, index: int, actions: dict[Any, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """Dicts by agent id; terminateds and truncateds have "__all__"."""
        self.where = ("step", index)
        obs, rewards, terminateds, truncateds, infos = step_env(self.envs[index], actions)
        self.where = None
        return obs, rewards, terminateds, truncateds, infos or {}

    def restart_at(self, index: int) -> None:
        """Makes one anew after it raised."""
        self.envs[index] = self._make_env(index)

    def get_sub_environments(self) -> list[Any]:
        return self.envs
