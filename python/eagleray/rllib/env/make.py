"""From what `config["env"]` says to an environment.

In this order, as Ray: a name given to register_env(), "envpool:ID", the dotted path of a class, an id of
gymnasium; or a class, or a function of one EnvContext.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .env_context import EnvContext

__all__ = ["env_creator", "env_name", "register_env"]


def register_env(name: str, env_creator: Callable[[Any], Any]) -> None:
    """Makes `config={"env": name}` build its environment by `env_creator(env_config)`, in every process."""
    from eagleray.tune.registry import register_env as register

    register(name, env_creator)


def env_name(env: Any) -> str:
    """How an environment is called in results and directories."""
    return env if isinstance(env, str) else getattr(env, "__name__", type(env).__name__)


def env_creator(env: Any) -> Callable[[EnvContext], Any]:
    """A function that makes the environment. ValueError: the name stands for nothing."""
    if isinstance(env, str):
        return _by_name(env)
    if callable(env):
        creator: Callable[[EnvContext], Any] = env
        return creator
    raise ValueError(f"config['env'] must be a name, a class or a function, not {env!r}")


def registered(name: str) -> Callable[[EnvContext], Any] | None:
    """What register_env() knows by this name."""
    from eagleray.tune import registry

    found = registry._global_registry
    if found.contains(registry.ENV_CREATOR, name):
        creator: Callable[[EnvContext], Any] = found.get(registry.ENV_CREATOR, name)
        return creator
    return None


def _by_name(name: str) -> Callable[[EnvContext], Any]:
    creator = registered(name)
    if creator is not None:
        return creator
    if name.startswith("envpool:"):
        return _EnvPool(name.removeprefix("envpool:"))
    if "." in name and ":" not in name and "/" not in name:
        module, _, attribute = name.rpartition(".")
        try:
            found: Callable[[EnvContext], Any] = getattr(importlib.import_module(module), attribute)
            return found
        except (ImportError, AttributeError) as error:
            raise ValueError(f"no environment class {name!r}: {error}") from None
    return _Gymnasium(name)


class _Gymnasium:
    """`gymnasium.make(id, **env_config)`; pickled as its id."""

    def __init__(self, env_id: str) -> None:
        self._id = env_id

    def __call__(self, context: EnvContext) -> Any:
        import warnings

        import gymnasium

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of ids that are older than the newest
                return gymnasium.make(self._id, disable_env_checker=True, **context)
        except gymnasium.error.Error as error:
            raise ValueError(
                f"no environment {self._id!r}: {str(error).rstrip('. ')}. Register your own with "
                "tune.register_env(name, creator), or pass its class"
            ) from None


class _EnvPool:
    """Environments of EnvPool, by their id: all of a worker's at once."""

    vectorizes = True

    def __init__(self, env_id: str) -> None:
        self._id = env_id

    def __call__(self, context: EnvContext, count: int = 1) -> Any:
        try:
            import envpool
        except ImportError:
            raise ImportError(f'env="envpool:{self._id}" needs the package envpool') from None
        from .envpool_env import EnvPoolVector

        settings = dict(context)
        count = int(settings.pop("num_envs", count))
        if self._id not in envpool.list_all_envs():
            raise ValueError(f"EnvPool has no environment {self._id!r}")
        return EnvPoolVector(envpool, self._id, count, settings)
