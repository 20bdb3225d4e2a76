"""Atari as DeepMind's papers have it: grey 84x84 pictures, four of them stacked, frames skipped, lives as episodes.

The wrappers speak gymnasium's interface and need no picture library.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

__all__ = [
    "ClipRewardEnv",
    "EpisodicLifeEnv",
    "FireResetEnv",
    "FrameStack",
    "FrameStackTrajectoryView",
    "GrayScaleAndResize",
    "MaxAndSkipEnv",
    "MonitorEnv",
    "NoopResetEnv",
    "NormalizedImageEnv",
    "ScaledFloatFrame",
    "WarpFrame",
    "area_weights",
    "get_wrapper_by_cls",
    "is_atari",
    "wrap_atari_for_new_api_stack",
    "wrap_deepmind",
]


def is_atari(env: Any) -> bool:
    """Whether it is one of the Arcade Learning Environment's, with pictures as observations."""
    space = getattr(env, "observation_space", None)
    shape = getattr(space, "shape", None)
    return shape is not None and len(shape) == 3 and hasattr(env.unwrapped, "ale")


class NoopResetEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Begins each episode with 1 to `noop_max` steps of doing nothing."""

    def __init__(self, env: Any, noop_max: int = 30) -> None:
        super().__init__(env)
        self.noop_max = noop_max
        self._random = np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if seed is not None:
            self._random = np.random.default_rng(seed)
        obs, info = self.env.reset(seed=seed, options=options)
        for _ in range(int(self._random.integers(1, self.noop_max + 1))):
            obs, _, terminated, truncated, info = self.env.step(0)
            if terminated or truncated:
                obs, info = self.env.reset()
        return obs, info


class MaxAndSkipEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Repeats each action `skip` times; the observation is the maximum of the last two pictures."""

    def __init__(self, env: Any, skip: int = 4) -> None:
        super().__init__(env)
        self._skip = skip

    def step(self, action: Any) -> Any:
        total = 0.0
        last: deque[Any] = deque(maxlen=2)
        terminated = truncated = False
        info: dict[str, Any] = {}
        for _ in range(self._skip):
            obs, reward, terminated, truncated, info = self.env.step(action)
            last.append(obs)
            total += float(reward)
            if terminated or truncated:
                break
        return np.max(np.stack(last), axis=0), total, terminated, truncated, info


class EpisodicLifeEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A lost life ends the episode; the game itself begins anew only when it is over."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.lives = 0
        self.was_real_terminated = True

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(action)
        self.was_real_terminated = terminated or truncated
        lives = self.env.unwrapped.ale.lives()
        if 0 < lives < self.lives:
            terminated = True
        self.lives = lives
        return obs, reward, terminated, truncated, info

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if self.was_real_terminated or seed is not None:
            obs, info = self.env.reset(seed=seed, options=options)
        else:
            obs, _, terminated, truncated, info = self.env.step(0)
            if terminated or truncated:
                obs, info = self.env.reset()
        self.was_real_terminated = False
        self.lives = self.env.unwrapped.ale.lives()
        return obs, info


class FireResetEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Presses fire at the start, in games that wait for it."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.env.reset(seed=seed, options=options)
        obs, info = None, {}
        for action in (1, 2):
            obs, _, terminated, truncated, info = self.env.step(action)
            if terminated or truncated:
                obs, info = self.env.reset()
        return obs, info


class GrayScaleAndResize(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Grey pictures of `dim` x `dim`: [dim, dim, 1] uint8, each pixel the mean of those it stands for; with
    grayscale=False coloured ones."""

    def __init__(self, env: Any, dim: int = 84, grayscale: bool = True) -> None:
        super().__init__(env)
        self._grey = grayscale
        height, width = env.observation_space.shape[:2]
        self._rows, self._columns = area_weights(height, dim), area_weights(width, dim)
        self.observation_space = spaces.Box(0, 255, (dim, dim, 1 if grayscale else 3), np.uint8)

    def observation(self, frame: Any) -> Any:
        if not self._grey:
            from ...utils.images import resize

            return resize(frame, len(self._rows), len(self._columns))
        grey = (
            frame[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
            if frame.ndim == 3
            else frame
        )
        small = self._rows @ grey.astype(np.float32) @ self._columns.T
        return np.rint(small).astype(np.uint8)[..., None]


WarpFrame = GrayScaleAndResize


def area_weights(size: int, dim: int) -> Any:
    """[dim, size]: how much each of `size` pixels counts for each of `dim`."""
    edges = np.linspace(0, size, dim + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.clip(overlap, 0, None)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


class ClipRewardEnv(gymnasium.RewardWrapper[Any, Any]):
    """Rewards as their sign."""

    def reward(self, reward: Any) -> float:
        return float(np.sign(reward))


class FrameStack(gymnasium.Wrapper[Any, Any, Any, Any]):
    """The last `k` pictures as channels: [height, width, channels * k]."""

    def __init__(self, env: Any, k: int = 4) -> None:
        super().__init__(env)
        self._frames: deque[Any] = deque(maxlen=k)
        height, width, channels = env.observation_space.shape
        space = env.observation_space
        low, high = (np.repeat(side, k, axis=2) for side in (space.low, space.high))
        self.observation_space = spaces.Box(low, high, dtype=space.dtype)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        obs, info = self.env.reset(seed=seed, options=options)
        self._frames.extend([obs] * (self._frames.maxlen or 1))
        return np.concatenate(self._frames, axis=2), info

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._frames.append(obs)
        return np.concatenate(self._frames, axis=2), reward, terminated, truncated, info


class FrameStackTrajectoryView(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Pictures [height, width, 1] without their last axis."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        space: Any = env.observation_space
        self.observation_space = spaces.Box(0, 255, space.shape[:2], space.dtype)

    def observation(self, frame: Any) -> Any:
        return np.squeeze(frame, axis=-1)


class MonitorEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Notes rewards and lengths of episodes, as they are before other wrappers change them."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._rewards: list[float] = []
        self._lengths: list[int] = []
        self._reward, self._steps, self._total, self._told = 0.0, 0, 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if self._steps:
            self._rewards.append(self._reward)
            self._lengths.append(self._steps)
        self._reward, self._steps = 0.0, 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._reward += float(reward)
        self._steps += 1
        self._total += 1
        return obs, reward, terminated, truncated, info

    def get_episode_rewards(self) -> list[float]:
        return self._rewards

    def get_episode_lengths(self) -> list[int]:
        return self._lengths

    def get_total_steps(self) -> int:
        return self._total

    def next_episode_results(self) -> Any:
        """(reward, length) of the episodes that ended since the last call."""
        new = list(zip(self._rewards[self._told :], self._lengths[self._told :], strict=True))
        self._told = len(self._rewards)
        yield from new


class NormalizedImageEnv(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Pixels in [-1, 1]: x / 128 - 1."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.observation_space = spaces.Box(-1.0, 1.0, env.observation_space.shape, np.float32)

    def observation(self, frame: Any) -> Any:
        return np.asarray(frame, np.float32) / 128.0 - 1.0


class ScaledFloatFrame(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Pixels in [0, 1]."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.observation_space = spaces.Box(0.0, 1.0, env.observation_space.shape, np.float32)

    def observation(self, frame: Any) -> Any:
        return np.asarray(frame, np.float32) / 255.0


def wrap_deepmind(
    env: Any, dim: int = 84, framestack: bool = True, noframeskip: bool = False
) -> Any:
    """All of them, in DeepMind's order. noframeskip: frames are skipped here (the game does not do it)."""
    env = NoopResetEnv(MonitorEnv(env))
    spec = getattr(env, "spec", None)
    if noframeskip or (spec is not None and "NoFrameskip" in spec.id):
        env = MaxAndSkipEnv(env)
    env = EpisodicLifeEnv(env)
    meanings: Any = getattr(env.unwrapped, "get_action_meanings", list)()
    if "FIRE" in meanings:
        env = FireResetEnv(env)
    env = WarpFrame(env, dim)
    return FrameStack(env) if framestack else env


def wrap_atari_for_new_api_stack(
    env: Any,
    dim: int = 64,
    frameskip: int = 4,
    framestack: int | None = None,
    grayscale: bool = True,
) -> Any:
    """Ray 2.x's: pictures `dim` x `dim` in [-1, 1], the brightest of `frameskip`, `framestack` of them (None: one), at
    most 108,000 steps, start after no-ops, lives as episodes."""
    env = gymnasium.wrappers.TimeLimit(env, max_episode_steps=108000)
    env = NormalizedImageEnv(GrayScaleAndResize(env, dim, grayscale))
    if frameskip > 1:
        env = MaxAndSkipEnv(env, frameskip)
    env = EpisodicLifeEnv(NoopResetEnv(env))
    if "FIRE" in env.unwrapped.get_action_meanings():
        env = FireResetEnv(env)
    return FrameStack(env, framestack) if framestack else env


def get_wrapper_by_cls(env: Any, cls: type) -> Any:
    """The wrapper of this class around an environment, None if there is none."""
    while not isinstance(env, cls):
        if not isinstance(env, gymnasium.Wrapper):
            return None
        env = env.env
    return env
