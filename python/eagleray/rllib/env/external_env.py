"""Environments that call the policy instead of being called: simulators and services with a loop of their own.

The user's run() has a thread of its own. A worker sees such an environment as one that it steps: a step ends when
run() asks for the next action. So a worker plays one episode of each ExternalEnv at a time (as many as
num_envs_per_env_runner ExternalEnvs); get_action() in further episodes waits for its turn.
"""

from __future__ import annotations

import threading
import uuid
from typing import Any

from ..utils.by_name import by_name
from ..utils.lazy import lazily
from .multi_agent_env import MultiAgentEnv

__all__ = ["ExternalEnv", "ExternalEnvPlayer", "ExternalMultiAgentEnv", "ExternalMultiAgentPlayer"]


class _Episode:
    """What run() has said of one episode since the last action."""

    def __init__(self) -> None:
        self.observation: Any = None
        self.waits = self.ended = self.taken = False
        self.action: Any = None
        self.answered = False
        self.reward: Any = None
        self.info: dict[Any, Any] = {}
        self.dones: dict[Any, bool] = {}


@by_name(environments_that_are_polled="to_base_env")
class ExternalEnv:
    """Subclasses define run(), an endless loop of start_episode(), get_action(), log_returns(), end_episode()."""

    def __init__(
        self, action_space: Any, observation_space: Any, max_concurrent: int | None = None
    ) -> None:
        self.action_space, self.observation_space = action_space, observation_space
        self._moved = threading.Condition()
        self._episodes: dict[str, _Episode] = {}
        self._over: BaseException | None = None  # how run() has ended

    def run(self) -> None:
        """The user's loop."""
        raise NotImplementedError(f"{type(self).__name__} has no run()")

    def start_episode(self, episode_id: str | None = None, training_enabled: bool = True) -> str:
        """Begins an episode; its id. training_enabled=False raises NotImplementedError."""
        if not training_enabled:
            raise NotImplementedError("episodes that are not learnt from (training_enabled=False)")
        name = episode_id or uuid.uuid4().hex
        with self._moved:
            if name in self._episodes:
                raise ValueError(f"the episode {name!r} has begun already")
            self._episodes[name] = self._begun()
        return name

    def _begun(self) -> _Episode:
        made = _Episode()
        made.reward = 0.0
        return made

    def get_action(self, episode_id: str, observation: Any) -> Any:
        """The policy's action; waits until a worker gives it."""
        with self._moved:
            episode = self._episode(episode_id)
            episode.observation, episode.waits, episode.answered = observation, True, False
            self._moved.notify_all()
            self._moved.wait_for(lambda: episode.answered)
            return episode.action

    def log_action(self, episode_id: str, observation: Any, action: Any) -> None:
        """Actions of somebody else: not implemented, as on-policy algorithms cannot learn from them."""
        raise NotImplementedError(
            "log_action(): the algorithms here learn from their own policy's actions only; use get_action()"
        )

    def log_returns(self, episode_id: str, reward: float, info: Any = None) -> None:
        """Adds to the reward of the last action."""
        with self._moved:
            episode = self._episode(episode_id)
            episode.reward += reward
            episode.info.update(info or {})

    def end_episode(self, episode_id: str, observation: Any) -> None:
        """Ends it with a last observation."""
        with self._moved:
            episode = self._episode(episode_id)
            episode.observation, episode.ended = observation, True
            del self._episodes[episode_id]
            self._moved.notify_all()

    def _episode(self, episode_id: str) -> _Episode:
        if episode_id not in self._episodes:
            raise ValueError(
                f"there is no running episode {episode_id!r}; start_episode() begins one"
            )
        return self._episodes[episode_id]

    # The worker's side

    def start(self) -> None:
        """Starts the thread of run(); a worker calls it."""
        threading.Thread(target=self._guarded, name=type(self).__name__, daemon=True).start()

    def _guarded(self) -> None:
        over: BaseException = RuntimeError(f"run() of {type(self).__name__} has returned")
        try:
            self.run()
        except BaseException as error:
            over = error
        with self._moved:
            self._over = over
            self._moved.notify_all()

    def take(self) -> _Episode:
        """Waits for an episode that wants its first action. RuntimeError: run() has ended."""
        found: list[_Episode] = []

        def ready() -> bool:
            found[:] = [e for e in self._episodes.values() if e.waits and not e.taken][:1]
            return bool(found) or self._over is not None

        with self._moved:
            self._moved.wait_for(ready)
            if not found:
                raise RuntimeError(f"{type(self).__name__} has no more episodes") from self._over
            found[0].taken = True
            return found[0]

    def give(self, episode: _Episode, action: Any) -> None:
        """Answers get_action() and waits for what follows: the next question or the end."""
        with self._moved:
            episode.action, episode.answered, episode.waits = action, True, False
            self._moved.notify_all()
            self._moved.wait_for(lambda: episode.waits or episode.ended or self._over is not None)
            if not (episode.waits or episode.ended):
                raise RuntimeError(f"{type(self).__name__} ended in an episode") from self._over

    def collected(self, episode: _Episode) -> tuple[Any, dict[Any, Any]]:
        """Reward and info since the last action; they begin anew."""
        reward, info = episode.reward, episode.info
        fresh = self._begun()
        episode.reward, episode.info = fresh.reward, {}
        return reward, info


class ExternalMultiAgentEnv(ExternalEnv):
    """The same with dicts by agent: get_action() gives one of actions, log_returns() takes one of rewards."""

    def _begun(self) -> _Episode:
        made = _Episode()
        made.reward = {}
        return made

    def log_returns(
        self,
        episode_id: str,
        reward: Any,
        info: Any = None,
        multiagent_done_dict: Any = None,
    ) -> None:
        """Adds to the agents' rewards; multiagent_done_dict: agents that take no more part."""
        with self._moved:
            episode = self._episode(episode_id)
            for agent, value in reward.items():
                episode.reward[agent] = episode.reward.get(agent, 0.0) + value
            episode.info.update(info or {})
            episode.dones.update(multiagent_done_dict or {})


class ExternalEnvPlayer:
    """An ExternalEnv with reset() and step(), for a worker's vector."""

    def __init__(self, env: ExternalEnv) -> None:
        self._env = env
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self._episode: Any = None
        env.start()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[Any, Any]]:
        self._episode = self._env.take()
        return self._episode.observation, {}

    def step(self, action: Any) -> Any:
        self._env.give(self._episode, action)
        reward, info = self._env.collected(self._episode)
        return self._episode.observation, reward, self._episode.ended, False, info


class ExternalMultiAgentPlayer(MultiAgentEnv):
    """An ExternalMultiAgentEnv with reset() and step()."""

    def __init__(self, env: ExternalMultiAgentEnv) -> None:
        self._env = env
        self.observation_space, self.action_space = env.observation_space, env.action_space
        super().__init__()
        self._episode: Any = None
        env.start()

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self._episode = self._env.take()
        return self._episode.observation, {}

    def step(self, action_dict: Any) -> Any:
        self._env.give(self._episode, action_dict)
        rewards, infos = self._env.collected(self._episode)
        over = self._episode.ended
        terminateds = {**self._episode.dones, "__all__": over}
        return self._episode.observation, rewards, terminateds, {"__all__": False}, infos


__getattr__ = lazily(__name__)  # names that are planned
