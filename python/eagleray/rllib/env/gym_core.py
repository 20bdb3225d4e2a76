"""What the stand-in for gym is made of: environments and wrappers with the interface of gym 0.21."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

__all__ = [
    "ActionWrapper",
    "Env",
    "GoalEnv",
    "ObservationWrapper",
    "RewardWrapper",
    "TimeLimit",
    "Wrapper",
    "make",
    "np_random",
    "register",
]


class Env:
    """reset() -> obs; step(action) -> (obs, reward, done, info); seed(n)."""

    metadata: dict[str, Any] = {"render.modes": []}
    reward_range = (-float("inf"), float("inf"))
    spec: Any = None
    action_space: Any = None
    observation_space: Any = None

    def step(self, action: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no step()")

    def reset(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no reset()")

    def render(self, mode: str = "human") -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no render()")

    def close(self) -> None:
        pass

    def seed(self, seed: int | None = None) -> Any:
        """The environment has no random numbers of its own unless it says so."""
        return [seed]

    @property
    def unwrapped(self) -> Any:
        return self

    def __enter__(self) -> Env:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __str__(self) -> str:
        return f"<{type(self).__name__} instance>"


GoalEnv = Env


class Wrapper(Env):
    """Passes everything to `env`."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.action_space = env.action_space
        self.observation_space = env.observation_space
        self.metadata = getattr(env, "metadata", {})
        self.spec = getattr(env, "spec", None)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.env, name)

    def step(self, action: Any) -> Any:
        return self.env.step(action)

    def reset(self, **kwargs: Any) -> Any:
        return self.env.reset(**kwargs)

    def render(self, mode: str = "human", **kwargs: Any) -> Any:
        return self.env.render()

    def close(self) -> None:
        self.env.close()

    def seed(self, seed: int | None = None) -> Any:
        return self.env.seed(seed)

    @property
    def unwrapped(self) -> Any:
        return self.env.unwrapped


class ObservationWrapper(Wrapper):
    """Defines observation(obs)."""

    def reset(self, **kwargs: Any) -> Any:
        return self.observation(self.env.reset(**kwargs))

    def step(self, action: Any) -> Any:
        obs, reward, done, info = self.env.step(action)
        return self.observation(obs), reward, done, info

    def observation(self, observation: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no observation()")


class RewardWrapper(Wrapper):
    """Defines reward(reward)."""

    def step(self, action: Any) -> Any:
        obs, reward, done, info = self.env.step(action)
        return obs, self.reward(reward), done, info

    def reward(self, reward: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no reward()")


class ActionWrapper(Wrapper):
    """Defines action(action)."""

    def step(self, action: Any) -> Any:
        return self.env.step(self.action(action))

    def action(self, action: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no action()")


class TimeLimit(Wrapper):
    """Ends episodes after `max_episode_steps`, with info["TimeLimit.truncated"]."""

    def __init__(self, env: Any, max_episode_steps: int) -> None:
        super().__init__(env)
        self._max_episode_steps = max_episode_steps
        self._elapsed_steps = 0

    def reset(self, **kwargs: Any) -> Any:
        self._elapsed_steps = 0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> Any:
        obs, reward, done, info = self.env.step(action)
        self._elapsed_steps += 1
        if self._elapsed_steps >= self._max_episode_steps:
            info["TimeLimit.truncated"] = not done
            done = True
        return obs, reward, done, info


class _Old(Env):
    """A gymnasium environment behind the old interface."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.action_space = env.action_space
        self.observation_space = env.observation_space
        self.metadata = env.metadata
        self.spec = env.spec
        self._seed: int | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.env.unwrapped, name)

    @property
    def _max_episode_steps(self) -> Any:
        return self.spec.max_episode_steps if self.spec is not None else None

    def seed(self, seed: int | None = None) -> Any:
        self._seed = seed
        return [seed]

    def reset(self, **kwargs: Any) -> Any:
        seed, self._seed = self._seed, None
        obs, _ = self.env.reset(seed=kwargs.get("seed", seed))
        return obs

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(action)
        if truncated:
            info["TimeLimit.truncated"] = not terminated
        return obs, float(reward), bool(terminated or truncated), info

    def render(self, mode: str = "human") -> Any:
        return self.env.render()

    def close(self) -> None:
        self.env.close()

    @property
    def unwrapped(self) -> Any:
        return self.env.unwrapped


def make(id: str, **kwargs: Any) -> Any:
    """The environment of an id, with the old interface."""
    import gymnasium

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ids that are older than the newest
        env: Any = gymnasium.make(id, disable_env_checker=True, **kwargs)
    made = env.unwrapped
    if isinstance(made, _Registered):
        limit = env.spec.max_episode_steps if env.spec is not None else None
        old = made.old
        return old if limit is None else TimeLimit(old, limit)
    return _Old(env)


def _registered_class() -> type:
    import gymnasium

    class Registered(gymnasium.Env[Any, Any]):
        """An old environment where gymnasium's registry wants one of its own."""

        def __init__(self, old: Any) -> None:
            self.old = old
            self.observation_space = old.observation_space
            self.action_space = old.action_space

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            if seed is not None:
                self.old.seed(seed)
            return self.old.reset(), {}

        def step(self, action: Any) -> Any:
            obs, reward, done, info = self.old.step(action)
            truncated = bool(done) and bool(info.get("TimeLimit.truncated", False))
            return obs, reward, bool(done) and not truncated, truncated, info

    return Registered


class _RegisteredMeta(type):
    _made: Any = None

    def __instancecheck__(cls, instance: Any) -> bool:
        return hasattr(instance, "old") and type(instance).__name__ == "Registered"


class _Registered(metaclass=_RegisteredMeta):
    old: Any


def register(id: str, entry_point: Any = None, **kwargs: Any) -> None:
    """Makes gym.make(id) and gymnasium.make(id) give `entry_point(**kwargs)`: a class, a function, "module:name"."""
    import gymnasium

    kwargs.pop("nondeterministic", None)
    entry = entry_point

    def create(**settings: Any) -> Any:
        made = entry
        if isinstance(made, str):
            from importlib import import_module

            module, _, name = made.partition(":")
            made = getattr(import_module(module), name)
        env = made(**settings)
        old = getattr(env, "old_interface", not isinstance(env, gymnasium.Env))
        return _registered_class()(env) if old else env

    gymnasium.register(id, entry_point=create, disable_env_checker=True, **kwargs)


class _OldRandom(np.random.RandomState):
    """RandomState with the names of numpy's new generators."""

    def random(self, size: Any = None, **_: Any) -> Any:
        return self.random_sample(size)

    def integers(self, low: Any, high: Any = None, size: Any = None, **_: Any) -> Any:
        return self.randint(low, high, size)


def np_random(seed: int | None = None) -> tuple[Any, int]:
    """(random numbers, the seed they have)."""
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(1)[0])
    return _OldRandom(seed % (1 << 32)), seed
