"""Agents in groups: to its policy a group is one agent, with Tuples of observations and actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gymnasium import spaces

from ..multi_agent_env import MultiAgentEnv, agent_space

__all__ = ["GROUP_INFO", "GROUP_REWARDS", "GroupAgentsWrapper"]

GROUP_REWARDS = "_group_rewards"
GROUP_INFO = "_group_info"


class GroupAgentsWrapper(MultiAgentEnv):
    """groups: ids of agents by the group's id. All agents of a group must act in the same steps (ValueError). Its
    reward is the sum of theirs; info["_group_rewards"] has each."""

    def __init__(
        self,
        env: Any,
        groups: Mapping[Any, Sequence[Any]],
        obs_space: Any = None,
        act_space: Any = None,
    ) -> None:
        self.env, self.groups = env, groups
        self._group_of: dict[Any, Any] = {}
        for group, agents in groups.items():
            for agent in agents:
                if agent in self._group_of:
                    raise ValueError(f"agent {agent!r} is in several groups")
                self._group_of[agent] = group
        alone = [agent for agent in env.get_agent_ids() if agent not in self._group_of]
        self.possible_agents = self.agents = [*groups, *sorted(alone, key=str)]
        self.observation_spaces = self._spaces("observation_space", alone, obs_space)
        self.action_spaces = self._spaces("action_space", alone, act_space)
        super().__init__()

    def _spaces(self, name: str, alone: Sequence[Any], given: Any) -> dict[Any, Any]:
        found = {agent: agent_space(self.env, name, agent) for agent in alone}
        for group, agents in self.groups.items():
            found[group] = given or spaces.Tuple(
                [agent_space(self.env, name, agent) for agent in agents]
            )
        return found

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        from ..adapter import reset_env

        obs, infos = reset_env(self.env, seed, options)
        return self._grouped(obs), self._grouped(infos, lambda parts: {GROUP_INFO: parts}, True)

    def step(self, action_dict: Any) -> Any:
        from ..adapter import step_env

        single = {
            agent: action
            for group, actions in action_dict.items()
            for agent, action in (
                zip(self.groups[group], actions, strict=True)
                if group in self.groups
                else [(group, actions)]
            )
        }
        obs, rewards, terminateds, truncateds, infos = step_env(self.env, single)
        each = self._grouped(rewards)
        grouped = self._grouped(infos, lambda parts: {GROUP_INFO: parts}, True)
        totals = {}
        for name, value in each.items():
            totals[name] = sum(value) if name in self.groups else value
            if name in self.groups:
                grouped.setdefault(name, {})[GROUP_REWARDS] = value
        return (
            self._grouped(obs),
            totals,
            self._grouped(terminateds, all, True),
            self._grouped(truncateds, all, True),
            grouped,
        )

    def _grouped(
        self,
        items: Mapping[Any, Any],
        join: Callable[[list[Any]], Any] = list,
        partly: bool = False,
    ) -> dict[Any, Any]:
        """Items of agents as items of groups. partly: not all agents of a group need one."""
        found: dict[Any, Any] = {}
        for agent, item in items.items():
            group = self._group_of.get(agent, agent)
            if group == agent and agent not in self._group_of:
                found[agent] = item
            elif group not in found:
                missing = [a for a in self.groups[group] if a not in items]
                if missing and not partly:
                    raise ValueError(
                        f"of the group {group!r} {', '.join(map(repr, missing))} did not act with the others"
                    )
                found[group] = join([items[a] for a in self.groups[group] if a in items])
        return found
