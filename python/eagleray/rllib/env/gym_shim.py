"""A stand-in for the package `gym` (0.2x) where it is not installed, so that code written for it runs.

`import gym` finds it once eagleray has been imported. Environments have the old interface: reset() gives the
observation, step() gives (obs, reward, done, info), seed(). Spaces are gymnasium's; gym.make() gives
gymnasium's environment behind the old interface, with the limit and reward threshold of its id.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["install"]


class _Finder:
    """Last on sys.meta_path: asked when nothing else has a `gym`."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        return find_spec(name)

    def create_module(self, spec: Any) -> ModuleType:
        return _make(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


_finder = _Finder()
# Modules of gym with a class each of gymnasium's, or with one of its wrappers.
_CLASSES = {
    "gym.envs.classic_control.acrobot": ("AcrobotEnv",),
    "gym.envs.classic_control.cartpole": ("CartPoleEnv",),
    "gym.envs.classic_control.continuous_mountain_car": ("Continuous_MountainCarEnv",),
    "gym.envs.classic_control.mountain_car": ("MountainCarEnv",),
    "gym.envs.classic_control.pendulum": ("PendulumEnv",),
    "gym.envs.toy_text.cliffwalking": ("CliffWalkingEnv",),
    "gym.envs.toy_text.frozen_lake": ("FrozenLakeEnv",),
    "gym.envs.toy_text.taxi": ("TaxiEnv",),
}
_WRAPPERS = {
    "gym.wrappers.clip_action": "ClipAction",
    "gym.wrappers.flatten_observation": "FlattenObservation",
    "gym.wrappers.frame_stack": "FrameStack",
    "gym.wrappers.monitor": "Monitor",
    "gym.wrappers.order_enforcing": "OrderEnforcing",
    "gym.wrappers.record_episode_statistics": "RecordEpisodeStatistics",
    "gym.wrappers.rescale_action": "RescaleAction",
    "gym.wrappers.time_aware_observation": "TimeAwareObservation",
    "gym.wrappers.time_limit": "TimeLimit",
    "gym.wrappers.transform_observation": "TransformObservation",
    "gym.wrappers.transform_reward": "TransformReward",
}
_SUBMODULES = (
    "gym.spaces",
    "gym.envs",
    "gym.envs.registration",
    "gym.utils",
    "gym.utils.seeding",
    "gym.error",
    "gym.logger",
    "gym.core",
    "gym.wrappers",
    *_WRAPPERS,
    *_CLASSES,
    "gym.envs.classic_control",
    "gym.envs.toy_text",
)


def find_spec(name: str) -> Any:
    """Of `gym` and its modules; None for others."""
    if name != "gym" and name not in _SUBMODULES and not name.startswith("gym.spaces."):
        return None
    return ModuleSpec(name, _finder, is_package=True)  # type: ignore[arg-type]


def install() -> None:
    """Makes `import gym` work where the package is missing; nothing changes where it is there."""
    if _finder not in sys.meta_path:
        sys.meta_path.append(_finder)


def _make(name: str) -> ModuleType:
    module = ModuleType(name, f"eagleray's stand-in for {name}.")
    module.__dict__["__path__"] = []
    names = _contents(name)
    module.__dict__.update(names)
    module.__dict__["__all__"] = [key for key in names if not key.startswith("_")]
    return module


def _contents(name: str) -> dict[str, Any]:
    import gymnasium
    from gymnasium import spaces

    from . import gym_core

    core = {key: getattr(gym_core, key) for key in gym_core.__all__}
    if name == "gym.spaces" or name.startswith("gym.spaces."):
        return {
            key: getattr(spaces, key) for key in (*spaces.__all__, "Space") if hasattr(spaces, key)
        }
    if name == "gym.error":
        return {
            key: value for key, value in vars(gymnasium.error).items() if not key.startswith("_")
        }
    if name == "gym.logger":
        logger = gymnasium.logger
        return {**vars(logger), "set_level": getattr(logger, "set_level", lambda level: None)}
    if name == "gym.utils.seeding":
        return {"np_random": gym_core.np_random}
    if name == "gym.utils":
        return {"seeding": _sub("gym.utils.seeding"), "EzPickle": gymnasium.utils.EzPickle}
    if name == "gym.envs.registration":
        return {
            "register": gym_core.register,
            "make": gym_core.make,
            "registry": gymnasium.registry,
            "spec": gymnasium.spec,
            "EnvSpec": gymnasium.envs.registration.EnvSpec,
        }
    if name == "gym.envs":
        return {
            "registration": _sub("gym.envs.registration"),
            "register": gym_core.register,
            "registry": gymnasium.registry,
        }
    if name == "gym.wrappers" or name in _WRAPPERS:
        from . import gym_wrappers

        found = gym_wrappers.__all__ if name == "gym.wrappers" else [_WRAPPERS[name]]
        return {key: getattr(gym_wrappers, key) for key in found}
    if name in _CLASSES or name in ("gym.envs.classic_control", "gym.envs.toy_text"):
        return _old_classes(name)
    if name == "gym.core":
        return core
    return {
        **core,
        "__version__": "0.21.0",
        "spaces": _sub("gym.spaces"),
        "Space": spaces.Space,
        "envs": _sub("gym.envs"),
        "utils": _sub("gym.utils"),
        "error": _sub("gym.error"),
        "logger": _sub("gym.logger"),
        "core": _sub("gym.core"),
        "wrappers": _sub("gym.wrappers"),
        "spec": gymnasium.spec,
    }


def _old_classes(name: str) -> dict[str, Any]:
    """The classes of a module of gym.envs, with the old interface."""
    from importlib import import_module

    from .gym_wrappers import old_class

    if name not in _CLASSES:
        below = [module for module in _CLASSES if module.startswith(f"{name}.")]
        return {key: getattr(_sub(module), key) for module in below for key in _CLASSES[module]}
    found = import_module(name.replace("gym.", "gymnasium.", 1))
    return {key: old_class(getattr(found, key)) for key in _CLASSES[name]}


def _sub(name: str) -> ModuleType:
    if name not in sys.modules:
        sys.modules[name] = _make(name)
    return sys.modules[name]
