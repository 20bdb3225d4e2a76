"""`remote_worker_envs`: each environment of a worker in a process of its own, all stepped at the same time.

For environments that are slow in Python: a step costs a call between processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .adapter import reset_env, step_env
from .multi_agent_env import MultiAgentEnv

__all__ = ["RemoteEnv", "RemoteMultiAgentEnv", "remote_env"]


class _Host:
    """The actor that has the environment."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._env = make()

    def spaces(self) -> Any:
        """Whether it has several agents, and the attributes that the worker looks at."""
        names = (
            "observation_space",
            "action_space",
            "observation_spaces",
            "action_spaces",
            "agents",
            "possible_agents",
        )
        found = {name: getattr(self._env, name) for name in names if hasattr(self._env, name)}
        return isinstance(self._env, MultiAgentEnv), found

    def reset(self, seed: Any, options: Any) -> Any:
        return reset_env(self._env, seed, options)

    def step(self, action: Any) -> Any:
        return step_env(self._env, action)

    def call(self, function: Callable[[Any], Any]) -> Any:
        return function(self._env)

    def close(self) -> None:
        close = getattr(self._env, "close", None)
        if callable(close):
            close()


class _Remote:
    """reset() and step() of an environment elsewhere; begin(action) sends a step whose result step() then takes."""

    _host: Any
    _begun: Any = None

    def begin(self, action: Any) -> None:
        self._begun = self._host.step.remote(action)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        import eagleray

        return eagleray.get(self._host.reset.remote(seed, options))

    def step(self, action: Any) -> Any:
        import eagleray

        begun, self._begun = self._begun, None
        return eagleray.get(self._host.step.remote(action) if begun is None else begun)

    def call(self, function: Callable[[Any], Any]) -> Any:
        """function(environment), there."""
        import eagleray

        return eagleray.get(self._host.call.remote(function))

    def close(self) -> None:
        import eagleray

        eagleray.kill(self._host)


class RemoteEnv(_Remote):
    """An environment of one agent in another process."""

    def __init__(self, host: Any, attributes: dict[str, Any]) -> None:
        self._host = host
        vars(self).update(attributes)


class RemoteMultiAgentEnv(_Remote, MultiAgentEnv):
    """An environment of several agents in another process."""

    def __init__(self, host: Any, attributes: dict[str, Any]) -> None:
        self._host = host
        for name, value in attributes.items():
            setattr(self, name, value)
        super().__init__()


def remote_env(make: Callable[[], Any]) -> Any:
    """The environment that make() gives, in an actor of its own, which needs no CPU of the trial's."""
    import eagleray

    host = eagleray.remote(num_cpus=0)(_Host).remote(make)
    several, attributes = eagleray.get(host.spaces.remote())
    return (RemoteMultiAgentEnv if several else RemoteEnv)(host, attributes)
