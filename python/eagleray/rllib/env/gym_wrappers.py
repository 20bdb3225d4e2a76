"""Of the stand-in for gym: its wrappers, and the classes of its own environments, with the interface of gym 0.21."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from .gym_core import ActionWrapper, ObservationWrapper, RewardWrapper, TimeLimit, Wrapper

__all__ = [
    "ClipAction",
    "FlattenObservation",
    "FrameStack",
    "Monitor",
    "OrderEnforcing",
    "RecordEpisodeStatistics",
    "RescaleAction",
    "TimeAwareObservation",
    "TimeLimit",
    "TransformObservation",
    "TransformReward",
]


class ClipAction(ActionWrapper):
    """Actions within the bounds of the space."""

    def action(self, action: Any) -> Any:
        return np.clip(action, self.action_space.low, self.action_space.high)


class RescaleAction(ActionWrapper):
    """Actions in [min_action, max_action] instead of the space's own bounds."""

    def __init__(self, env: Any, min_action: Any, max_action: Any) -> None:
        super().__init__(env)
        inner = env.action_space
        zero = np.zeros(inner.shape, inner.dtype)
        self.min_action, self.max_action = zero + min_action, zero + max_action
        self.action_space = spaces.Box(self.min_action, self.max_action, dtype=inner.dtype)

    def action(self, action: Any) -> Any:
        inner = self.env.action_space
        share = (action - self.min_action) / (self.max_action - self.min_action)
        return np.clip(inner.low + (inner.high - inner.low) * share, inner.low, inner.high)


class FlattenObservation(ObservationWrapper):
    """Observations of any space as one vector."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.observation_space = spaces.flatten_space(env.observation_space)

    def observation(self, observation: Any) -> Any:
        return spaces.flatten(self.env.observation_space, observation)


class TransformObservation(ObservationWrapper):
    """f(observation)."""

    def __init__(self, env: Any, f: Callable[[Any], Any]) -> None:
        super().__init__(env)
        self.f = f

    def observation(self, observation: Any) -> Any:
        return self.f(observation)


class TransformReward(RewardWrapper):
    """f(reward)."""

    def __init__(self, env: Any, f: Callable[[Any], Any]) -> None:
        super().__init__(env)
        self.f = f

    def reward(self, reward: Any) -> Any:
        return self.f(reward)


class TimeAwareObservation(ObservationWrapper):
    """Vectors with the number of the step behind them."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        low, high = env.observation_space.low, env.observation_space.high
        self.observation_space = spaces.Box(
            np.append(low, 0.0).astype(np.float32), np.append(high, np.inf).astype(np.float32)
        )
        self.t = 0

    def reset(self, **kwargs: Any) -> Any:
        self.t = 0
        return super().reset(**kwargs)

    def step(self, action: Any) -> Any:
        self.t += 1
        return super().step(action)

    def observation(self, observation: Any) -> Any:
        return np.append(observation, self.t).astype(np.float32)


class FrameStack(ObservationWrapper):
    """The last `num_stack` observations, [num_stack, ...]; the first, as often as there are none before it."""

    def __init__(self, env: Any, num_stack: int, lz4_compress: bool = False) -> None:
        super().__init__(env)
        self.num_stack = num_stack
        self.frames: deque[Any] = deque(maxlen=num_stack)
        inner = env.observation_space
        low, high = (np.repeat(side[None], num_stack, axis=0) for side in (inner.low, inner.high))
        self.observation_space = spaces.Box(low, high, dtype=inner.dtype)

    def reset(self, **kwargs: Any) -> Any:
        self.frames.extend([self.env.reset(**kwargs)] * self.num_stack)
        return np.stack(self.frames)

    def observation(self, observation: Any) -> Any:
        self.frames.append(observation)
        return np.stack(self.frames)


class RecordEpisodeStatistics(Wrapper):
    """info["episode"] of an episode's last step: its return "r", length "l" and seconds "t"."""

    def __init__(self, env: Any, deque_size: int = 100) -> None:
        super().__init__(env)
        self.return_queue: deque[float] = deque(maxlen=deque_size)
        self.length_queue: deque[int] = deque(maxlen=deque_size)
        self._return, self._length, self._began = 0.0, 0, time.monotonic()

    def reset(self, **kwargs: Any) -> Any:
        self._return, self._length, self._began = 0.0, 0, time.monotonic()
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        obs, reward, done, info = self.env.step(action)
        self._return += float(reward)
        self._length += 1
        if done:
            seconds = time.monotonic() - self._began
            info = {**info, "episode": {"r": self._return, "l": self._length, "t": seconds}}
            self.return_queue.append(self._return)
            self.length_queue.append(self._length)
        return obs, reward, done, info


class OrderEnforcing(Wrapper):
    """AssertionError: step() before reset()."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._has_reset = False

    def reset(self, **kwargs: Any) -> Any:
        self._has_reset = True
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        assert self._has_reset, "step() of an environment that was not reset"
        return self.env.step(action)


class Monitor(Wrapper):
    """Not implemented: making one raises NotImplementedError."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(
            "gym.wrappers.Monitor: videos are not recorded; RecordEpisodeStatistics has returns and lengths"
        )


def old_class(made: Any) -> Any:
    """A class of gymnasium's with the old interface, for subclasses of the user's."""

    def seed(self: Any, seed: int | None = None) -> list[Any]:
        self._old_seed = seed
        return [seed]

    def reset(self: Any, **kwargs: Any) -> Any:
        given, self._old_seed = getattr(self, "_old_seed", None), None
        return made.reset(self, seed=kwargs.get("seed", given))[0]

    def step(self: Any, action: Any) -> Any:
        obs, reward, terminated, truncated, info = made.step(self, action)
        return obs, float(reward), bool(terminated or truncated), info

    methods = {
        "old_interface": True,
        "seed": seed,
        "reset": reset,
        "step": step,
        "__module__": "gym.envs",
    }
    return type(made.__name__, (made,), methods)
