"""EnvPool's environments as a VectorEnv. They reset themselves; the last observation of an episode is not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .vector_env import VectorEnv

__all__ = ["EnvPoolVector"]


class EnvPoolVector(VectorEnv):
    """config: "num_envs" (1 by default), the rest is EnvPool's."""

    def __init__(self, envpool: Any, env_id: str, config: dict[str, Any]) -> None:
        count = int(config.pop("num_envs", 1))
        self._env = envpool.make(env_id, env_type="gymnasium", num_envs=count, **config)
        super().__init__(self._env.observation_space, self._env.action_space, count)
        self._first: Any = None

    def reset_at(
        self, index: int | None = 0, *, seed: int | None = None, options: Any = None
    ) -> Any:
        index = index or 0
        if self._first is None:
            self._first, _ = self._env.reset()
            return self._first[index], {}
        if index in self._ended:
            # The step after the end resets: only this environment's row is used.
            row, *_ = self._env.step(np.zeros(1, np.int64), np.asarray([index]))
            self._ended.discard(index)
            return row[0], {}
        return self._first[index], {}

    @property
    def _ended(self) -> set[int]:
        return vars(self).setdefault("_over", set())

    def vector_step(self, actions: Sequence[Any]) -> Any:
        obs, rewards, terminated, truncated, _ = self._env.step(np.asarray(actions))
        self._ended.update(np.flatnonzero(terminated | truncated).tolist())
        return list(obs), list(rewards), list(terminated), list(truncated), [{}] * self.num_envs
