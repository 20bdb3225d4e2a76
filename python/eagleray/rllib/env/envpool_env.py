"""EnvPool's environments as a VectorEnv. All of a worker's are one pool, stepped in EnvPool's own threads.

A step after the end of an episode would begin the next one unseen; instead the environment is reset when the
sampler asks for it, so that the last observation and the first one of the next episode are both seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from .vector_env import VectorEnv

__all__ = ["EnvPoolVector"]


class EnvPoolVector(VectorEnv):
    """settings: EnvPool's. Pictures are turned from [channels, height, width] to [height, width, channels]."""

    def __init__(self, envpool: Any, env_id: str, num_envs: int, settings: dict[str, Any]) -> None:
        self._make: Any = lambda seed: envpool.make(
            env_id,
            env_type="gymnasium",
            num_envs=num_envs,
            **({} if seed is None else {"seed": seed}),
            **settings,
        )
        # Spaces are in the spec; the pool itself is made by the first reset, which knows the seed.
        spec = envpool.make_spec(
            env_id, **{key: value for key, value in settings.items() if key != "seed"}
        )
        observation_space, action_space = (
            spec.gymnasium_observation_space,
            spec.gymnasium_action_space,
        )
        self._turned = (
            isinstance(observation_space, spaces.Box) and len(observation_space.shape) == 3
        )
        if self._turned:
            observation_space = spaces.Box(
                _turn(observation_space.low), _turn(observation_space.high), dtype=np.uint8
            )
        super().__init__(observation_space, action_space, num_envs)
        self._env: Any = None
        self._fresh: dict[int, Any] = {}  # first observations that nobody has asked for yet

    def reset_at(
        self, index: int | None = 0, *, seed: int | None = None, options: Any = None
    ) -> Any:
        index = index or 0
        if self._env is None:
            self._env = self._make(seed)
            self._fresh = dict(enumerate(self._rows(self._env.reset()[0])))
        if index in self._fresh:
            return self._fresh.pop(index), {}
        return self._rows(self._env.reset(np.asarray([index], np.int32))[0])[0], {}

    def vector_step(self, actions: Sequence[Any]) -> Any:
        self._fresh = {}
        chosen = np.asarray(actions, self.action_space.dtype)
        obs, rewards, terminated, truncated, _ = self._env.step(chosen)
        infos: list[dict[str, Any]] = [{} for _ in rewards]
        return self._rows(obs), list(rewards), list(terminated), list(truncated), infos

    def _rows(self, obs: Any) -> list[Any]:
        return [_turn(row) for row in obs] if self._turned else list(obs)

    def close(self) -> None:
        if self._env is not None:
            self._env.close()


def _turn(picture: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(picture, 0, -1))
