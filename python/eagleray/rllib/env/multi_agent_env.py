"""MultiAgentEnv: several agents in one environment; everything is a dict by agent id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium

from ..utils.by_name import by_name
from ..utils.lazy import lazily

__all__ = ["MultiAgentEnv", "make_multi_agent"]


@by_name(environments_that_are_polled="to_base_env")
class MultiAgentEnv(gymnasium.Env[Any, Any]):
    """reset() gives observations of the agents that act next; step(actions) gives observations, rewards,
    terminateds, truncateds (both with "__all__" for the episode) and infos. The older interface, reset()
    without infos and step() with one dict of dones, works as well.

    Spaces: `observation_spaces`/`action_spaces` by agent id, or `observation_space`/`action_space` for all
    alike, or gymnasium Dict spaces by agent id.
    """

    def __init__(self) -> None:
        for name in ("observation_spaces", "action_spaces"):
            if not hasattr(self, name):
                setattr(self, name, None)
        if not hasattr(self, "agents"):
            self.agents: list[Any] = []
        if not hasattr(self, "possible_agents"):
            self.possible_agents: list[Any] = list(self.agents)

    def get_observation_space(self, agent_id: Any) -> Any:
        """The space of this agent's observations."""
        return _of_agent(self, "observation_space", agent_id)

    def get_action_space(self, agent_id: Any) -> Any:
        """The space of this agent's actions."""
        return _of_agent(self, "action_space", agent_id)

    def get_agent_ids(self) -> set[Any]:
        """All agents that there can be, as far as known."""
        return set(getattr(self, "_agent_ids", ())) or set(self.possible_agents or self.agents)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no reset()")

    def step(self, action_dict: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no step()")

    def with_agent_groups(
        self, groups: Mapping[Any, Any], obs_space: Any = None, act_space: Any = None
    ) -> MultiAgentEnv:
        """This environment with groups of agents that are one agent each: see GroupAgentsWrapper."""
        from .wrappers.group_agents_wrapper import GroupAgentsWrapper

        return GroupAgentsWrapper(self, groups, obs_space, act_space)

    @property
    def max_num_agents(self) -> int:
        """How many agents there can be."""
        return len(self.possible_agents)

    @property
    def num_agents(self) -> int:
        return len(self.get_agent_ids())


def _of_agent(env: Any, name: str, agent_id: Any) -> Any:
    by_agent = getattr(env, name + "s", None)
    if isinstance(by_agent, Mapping) and agent_id in by_agent:
        return by_agent[agent_id]
    space = getattr(env, name, None)
    spaces = getattr(space, "spaces", None)
    if isinstance(spaces, Mapping) and agent_id in spaces:
        return spaces[agent_id]
    return space


def agent_space(env: Any, name: str, agent_id: Any) -> Any:
    """`observation_space` or `action_space` of one agent of any multi-agent environment."""
    method = getattr(env, f"get_{name}", None)
    return method(agent_id) if callable(method) else _of_agent(env, name, agent_id)


def make_multi_agent(env_name_or_creator: Any) -> type[MultiAgentEnv]:
    """A class whose agents 0..n-1 each have an environment of their own; `env_config["num_agents"]` is n."""
    from .adapter import reset_env, step_env
    from .make import env_creator

    create: Callable[[Any], Any] = env_creator(env_name_or_creator)

    class Independent(MultiAgentEnv):
        def __init__(self, config: Any = None) -> None:
            config = dict(config or {})
            count = config.pop("num_agents", 1)
            from .env_context import EnvContext

            self.envs = [create(EnvContext(config)) for _ in range(count)]
            self.agents = self.possible_agents = list(range(count))
            self.observation_spaces = {i: e.observation_space for i, e in enumerate(self.envs)}
            self.action_spaces = {i: e.action_space for i, e in enumerate(self.envs)}
            self._ended: set[int] = set()
            super().__init__()

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            self._ended = set()
            pairs = [
                reset_env(env, None if seed is None else seed + i, options)
                for i, env in enumerate(self.envs)
            ]
            return (
                {i: obs for i, (obs, _) in enumerate(pairs)},
                {i: info for i, (_, info) in enumerate(pairs)},
            )

        def step(self, action_dict: Any) -> Any:
            rows = {i: step_env(self.envs[i], action) for i, action in action_dict.items()}
            obs, rewards, terminateds, truncateds, infos = (
                {i: row[column] for i, row in rows.items()} for column in range(5)
            )
            self._ended |= {i for i in rows if terminateds[i] or truncateds[i]}
            terminateds["__all__"] = len(self._ended) == len(self.envs)
            truncateds["__all__"] = False
            return obs, rewards, terminateds, truncateds, infos

    return Independent


__getattr__ = lazily(__name__)  # names that are planned
