"""Episode: what call-backs see of a running episode, with the names of Ray's Episode, EpisodeV2 and
SingleAgentEpisode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..utils.by_name import by_name

__all__ = ["AGENT", "Episode", "EpisodeRecord", "MultiAgentEpisode"]

AGENT = "agent0"


@dataclass
class EpisodeRecord:
    """A finished episode, as workers report it."""

    length: int
    reward: float
    agent_rewards: dict[tuple[Any, str], float] = field(default_factory=dict)
    custom_metrics: dict[str, Any] = field(default_factory=dict)
    hist_data: dict[str, Any] = field(default_factory=dict)
    media: dict[str, Any] = field(default_factory=dict)
    faulty: bool = False
    eps_id: int = 0  # of environment i: from i << 32


@by_name(
    states_in_call_backs="rnn_state_for last_pi_info_for",
    horizons_of_Ray_1="soft_reset",
    episodes_that_hold_their_steps="add_env_reset add_env_step concat_episode cut to_numpy slice get_data_dict "
    "get_sample_batch get_extra_model_outputs set_observations set_actions set_rewards set_extra_model_outputs "
    "get_state from_state validate get_duration_s agent_steps add_init_obs add_action_reward_done_next_obs "
    "postprocess_episode has_init_obs set_last_info",
)
class Episode:
    """user_data, hist_data, custom_metrics and media are the user's; the rest is for reading."""

    def __init__(
        self, episode_id: int, env_id: int, worker: Any, policy_for: Callable[..., str]
    ) -> None:
        self.episode_id = self.id_ = episode_id
        self.env_id = env_id
        self.worker = worker
        self.user_data: dict[str, Any] = {}
        self.custom_data = self.user_data
        self.hist_data: dict[str, list[float]] = {}
        self.custom_metrics: dict[str, float] = {}
        self.media: dict[str, Any] = {}
        self.length = 0
        self.total_reward = 0.0
        self.agent_rewards: dict[tuple[Any, str], float] = {}
        self.is_terminated = False
        self.is_truncated = False
        self._policy_for = policy_for
        self._policies: dict[Any, str] = {}
        self._before: dict[str, dict[Any, Any]] = {"action": {}, "reward": {}}
        self._last: dict[str, dict[Any, Any]] = {
            name: {} for name in ("obs", "raw_obs", "action", "reward", "info")
        }

    # How samplers write it.

    def observed(self, agent: Any, raw: Any, obs: Any, info: Any) -> None:
        self._last["raw_obs"][agent] = raw
        self._last["obs"][agent] = obs
        self._last["info"][agent] = info

    def acted(self, agent: Any, action: Any, reward: float) -> None:
        key = (agent, self.policy_for(agent))
        self.agent_rewards[key] = self.agent_rewards.get(key, 0.0) + reward
        self.total_reward += reward
        for name, value in (("action", action), ("reward", reward)):
            if agent in self._last[name]:
                self._before[name][agent] = self._last[name][agent]
            self._last[name][agent] = value

    def record(self) -> EpisodeRecord:
        return EpisodeRecord(
            self.length,
            self.total_reward,
            dict(self.agent_rewards),
            self.custom_metrics,
            self.hist_data,
            self.media,
            eps_id=self.episode_id,
        )

    def get_state(self) -> dict[str, Any]:
        """All but what belongs to the process."""
        return {k: v for k, v in vars(self).items() if k not in ("worker", "_policy_for")}

    def set_state(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.custom_data = self.user_data

    # How users read it.

    def policy_for(self, agent_id: Any = AGENT) -> str:
        """The policy of an agent: asked once an episode, then kept."""
        if agent_id not in self._policies:
            self._policies[agent_id] = self._policy_for(agent_id, self)
        return self._policies[agent_id]

    module_for = policy_for

    def get_agents(self) -> list[Any]:
        """The agents that have been seen in this episode."""
        return list(self._last["obs"])

    def last_info_for(self, agent_id: Any = AGENT) -> Any:
        return self._last["info"].get(agent_id)

    def last_observation_for(self, agent_id: Any = AGENT) -> Any:
        """As the policy got it: preprocessed and filtered."""
        return self._last["obs"].get(agent_id)

    def last_raw_obs_for(self, agent_id: Any = AGENT) -> Any:
        """As the environment gave it."""
        return self._last["raw_obs"].get(agent_id)

    def last_action_for(self, agent_id: Any = AGENT) -> Any:
        return self._last["action"].get(agent_id)

    def last_reward_for(self, agent_id: Any = AGENT) -> Any:
        return self._last["reward"].get(agent_id, 0.0)

    def prev_action_for(self, agent_id: Any = AGENT) -> Any:
        """The action before the last; None in the first step."""
        return self._before["action"].get(agent_id)

    def prev_reward_for(self, agent_id: Any = AGENT) -> float:
        """The reward before the last; 0.0 in the first step."""
        return float(self._before["reward"].get(agent_id, 0.0))

    def agent_index(self, agent_id: Any) -> int:
        """In which order agents were first seen, from 0."""
        return self.get_agents().index(agent_id)

    def step(self) -> None:
        """Nothing: the sampler counts steps."""

    def env_steps(self) -> int:
        """Steps so far."""
        return self.length

    def get_return(self) -> float:
        """The sum of rewards so far."""
        return self.total_reward

    def __len__(self) -> int:
        return self.length

    @property
    def t(self) -> int:
        return self.length

    env_t = t

    @property
    def is_done(self) -> bool:
        return self.is_terminated or self.is_truncated

    def get_infos(self, index: int = -1) -> Any:
        """The last info; only index -1 is kept."""
        return _only_last(index, self.last_info_for(self._one()))

    def get_observations(self, index: int = -1) -> Any:
        """The last observation of the environment; only index -1 is kept."""
        return _only_last(index, self.last_raw_obs_for(self._one()))

    def get_actions(self, index: int = -1) -> Any:
        return _only_last(index, self.last_action_for(self._one()))

    def get_rewards(self, index: int = -1) -> Any:
        return _only_last(index, self.last_reward_for(self._one()))

    def _one(self) -> Any:
        return next(iter(self._last["obs"]), AGENT)


def _only_last(index: int, value: Any) -> Any:
    if index != -1:
        raise IndexError("an episode keeps its last step only; collect others in episode.user_data")
    return value


MultiAgentEpisode = Episode  # the name of Ray 1.x
