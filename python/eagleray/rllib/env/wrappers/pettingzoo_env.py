"""PettingZoo's environments as MultiAgentEnvs: PettingZooEnv (AEC, agents in turn) and ParallelPettingZooEnv."""

from __future__ import annotations

from typing import Any

from ..multi_agent_env import MultiAgentEnv

__all__ = ["ParallelPettingZooEnv", "PettingZooEnv"]


class _Wrapped(MultiAgentEnv):
    """`par_env` or `env`: the environment of PettingZoo's."""

    def __init__(self, env: Any) -> None:
        self.env = self.par_env = env
        self.agents = self.possible_agents = list(env.possible_agents)
        self._agent_ids = set(self.agents)
        self.observation_spaces = {agent: env.observation_space(agent) for agent in self.agents}
        self.action_spaces = {agent: env.action_space(agent) for agent in self.agents}
        self.observation_space = self.observation_spaces[self.agents[0]]
        self.action_space = self.action_spaces[self.agents[0]]
        super().__init__()

    def close(self) -> None:
        self.env.close()

    def render(self) -> Any:
        return self.env.render()


class ParallelPettingZooEnv(_Wrapped):
    """All agents act in each step."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        result = self.env.reset(seed=seed, options=options)
        return result if isinstance(result, tuple) else (result, {})

    def step(self, action_dict: Any) -> Any:
        obs, rewards, terminateds, truncateds, infos = self.env.step(action_dict)
        terminateds, truncateds = dict(terminateds), dict(truncateds)
        over = not self.env.agents
        terminateds["__all__"] = over and all(terminateds.values())
        truncateds["__all__"] = over and not terminateds["__all__"]
        return obs, rewards, terminateds, truncateds, infos


class PettingZooEnv(_Wrapped):
    """One agent acts in each step; the rewards of all others are passed on when they come."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.env.reset(seed=seed, options=options)
        return self._observed()

    def _observed(self) -> tuple[dict[Any, Any], dict[Any, Any]]:
        agent = self.env.agent_selection
        return {agent: self.env.observe(agent)}, {agent: self.env.infos.get(agent, {})}

    def step(self, action_dict: Any) -> Any:
        rewards: dict[Any, float] = {}
        terminateds: dict[Any, bool] = {}
        truncateds: dict[Any, bool] = {}
        self.env.step(action_dict[self.env.agent_selection])
        self._collect(rewards, terminateds, truncateds)
        while self.env.agents and self._gone(self.env.agent_selection):
            self.env.step(None)  # an agent that is done must take its leave
            self._collect(rewards, terminateds, truncateds)
        over = not self.env.agents
        terminateds["__all__"] = over and all(terminateds.values())
        truncateds["__all__"] = over and not terminateds["__all__"]
        obs, infos = ({}, {}) if over else self._observed()
        return obs, rewards, terminateds, truncateds, infos

    def _gone(self, agent: Any) -> bool:
        return bool(self.env.terminations.get(agent) or self.env.truncations.get(agent))

    def _collect(self, rewards: Any, terminateds: Any, truncateds: Any) -> None:
        for agent in list(self.env.agents):
            rewards[agent] = rewards.get(agent, 0.0) + float(self.env.rewards.get(agent, 0.0))
            terminateds[agent] = bool(self.env.terminations.get(agent))
            truncateds[agent] = bool(self.env.truncations.get(agent))
