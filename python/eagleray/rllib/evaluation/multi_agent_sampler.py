"""MultiAgentSampler: steps multi-agent environments, each agent with the policy that the mapping gives it.

Driven by a RolloutWorker. An agent that does not act in every step gets the rewards in between added to the
row of its last action; that row is complete when the agent sees something again, or is done.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..policy.policy import Policy
from ..policy.sample_batch import MultiAgentBatch, SampleBatch, concat_samples
from .collected import Perf
from .episode import Episode, EpisodeRecord
from .postprocessing import compute_advantages
from .sampling import clipped, learns_filters, tell

__all__ = ["MultiAgentSampler"]


class _Track:
    """One agent's trajectory in the running episode."""

    def __init__(self, policy_id: str, states: list[Any], number: int) -> None:
        self.policy_id = policy_id
        self.states = states
        self.number = number  # of the agent in its episode
        self.rows: list[dict[str, Any]] = []
        self.pending: dict[str, Any] | None = None
        self.reward = 0.0
        self.steps = 0
        self.previous: tuple[Any, float] | None = None
        self.done = False

    def complete(self, next_obs: Any, terminated: bool, truncated: bool, step: int) -> None:
        """The last action has had its effect, in the episode's step `step`."""
        if self.pending is None:
            return
        row, self.pending = self.pending, None
        row[SampleBatch.REWARDS] = np.float32(self.reward)
        row[SampleBatch.NEXT_OBS] = row[SampleBatch.OBS] if next_obs is None else next_obs
        row[SampleBatch.T] = np.int32(step)
        row[SampleBatch.TERMINATEDS], row[SampleBatch.TRUNCATEDS] = terminated, truncated
        self.previous = (row[SampleBatch.ACTIONS], self.reward)
        self.rows.append(row)
        self.reward = 0.0
        self.steps += 1


class _Running:
    """One environment's episode."""

    def __init__(self, episode: Episode) -> None:
        self.episode = episode
        self.tracks: dict[Any, _Track] = {}
        self.seen: dict[
            Any, Any
        ] = {}  # preprocessed and filtered observations of agents that act next


class MultiAgentSampler:
    """worker: gives vector_env, policy_map, preprocessors, filters, config, callbacks."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._config = worker.config
        self._vector = worker.vector_env
        self._calls = worker.callbacks
        self._running: list[_Running] = []
        self._counts = [0] * self._vector.num_envs
        self._acted = 0
        self._unrolls = 0
        self._out: dict[str, list[SampleBatch]] = {}
        self._to_env: dict[str, Any] = {}
        self._at_starts = False  # whether every environment is where its episode begins
        self.records: list[EpisodeRecord] = []
        self.perf = Perf()

    def keep_all(self) -> None:
        """Batches have all columns."""

    def start_anew(self) -> None:
        """New episodes everywhere, where they are not just beginning; what was running is not counted."""
        filtered = any(part.is_filter for part in self._worker.filters.values())
        if not self._at_starts or filtered:
            self.reset()

    def get_state(self) -> dict[str, Any]:
        return {"counts": list(self._counts), "acted": self._acted, "unrolls": self._unrolls}

    def set_state(self, state: dict[str, Any]) -> None:
        self._counts, self._acted = list(state["counts"]), state["acted"]
        self._unrolls = state["unrolls"]

    def reset(self) -> None:
        """Begins new episodes everywhere; what was running is not counted."""
        self._running = [self._begin(index) for index in range(self._vector.num_envs)]
        self._at_starts = True

    def fragments(self, count: int, steps: int, explore: bool) -> MultiAgentBatch:
        """`count` fragments of `steps` steps of each environment."""
        if not self._running:
            self.reset()
        self._at_starts = False
        everyone = list(range(self._vector.num_envs))
        for _ in range(count):
            for _ in range(steps):
                self._step(everyone, explore)
            self._cut(everyone)
        return self._batch(count * steps * len(everyone))

    def episodes(self, count: int, least_steps: int, explore: bool) -> MultiAgentBatch:
        """Whole episodes from new starts: at least `count` of them, and at least `least_steps` steps."""
        if not self._at_starts:
            self.reset()
        active = list(range(self._vector.num_envs))
        ended = steps = 0
        while active:
            over = self._step(active, explore)
            steps += len(active)
            ended += len(over)
            if ended + len(active) - len(over) >= count and steps >= least_steps:
                active = [index for index in active if index not in over]
        self._cut(list(range(self._vector.num_envs)))
        return self._batch(steps)

    # One step

    def _step(self, active: list[int], explore: bool) -> set[int]:
        began = time.perf_counter()
        actions = self._act(active, explore)
        acted = time.perf_counter()
        over = set()
        for index in active:
            try:
                outcome = self._vector.step_at(index, actions[index])
            except Exception as error:
                self._failed(index, error)
                over.add(index)
                continue
            if self._take(index, *outcome):
                over.add(index)
        self.perf.steps += 1
        self.perf.inference += acted - began
        self.perf.env += time.perf_counter() - acted
        return over

    def _act(self, active: list[int], explore: bool) -> dict[int, dict[Any, Any]]:
        """Actions by environment and agent; all agents of one policy at once."""
        waiting: dict[str, list[tuple[int, Any]]] = {}
        for index in active:
            running = self._running[index]
            for agent in running.seen:
                waiting.setdefault(running.tracks[agent].policy_id, []).append((index, agent))
        actions: dict[int, dict[Any, Any]] = {index: {} for index in active}
        for policy_id, places in waiting.items():
            policy = self._worker.policy_map[policy_id]
            self._act_policy(policy, policy_id, places, explore, actions)
        for index in active:
            self._running[index].seen = {}
        self._acted += 1
        return actions

    def _act_policy(
        self,
        policy: Any,
        policy_id: str,
        places: list[tuple[int, Any]],
        explore: bool,
        actions: Any,
    ) -> None:
        tracks = [self._running[index].tracks[agent] for index, agent in places]
        obs = np.stack([self._running[index].seen[agent] for index, agent in places])
        states = [
            np.stack(parts) for parts in zip(*(track.states for track in tracks), strict=True)
        ]
        previous: tuple[Any, Any] = (None, None)
        if policy.needs_state:
            blank = np.zeros(policy.columns.shape, policy.columns.dtype)
            before = [track.previous or (blank, 0.0) for track in tracks]
            previous = (
                np.stack([a for a, _ in before]),
                np.asarray([r for _, r in before], np.float32),
            )
        noise = (self._worker.seed, self._worker.env_indices[0] << 20, self._acted)
        rows, states_out, extras = policy.act(obs, states, *previous, explore, noise)
        batch = self._env_actions(policy, policy_id)(policy.columns.to_batch(rows))
        for at, ((index, agent), track) in enumerate(zip(places, tracks, strict=True)):
            episode = self._running[index].episode
            row = {SampleBatch.OBS: obs[at], SampleBatch.ACTIONS: rows[at]}
            row.update({name: value[at] for name, value in extras.items()})
            for i, part in enumerate(states):
                row[f"state_in_{i}"], row[f"state_out_{i}"] = part[at], states_out[i][at]
            if policy.needs_state:
                row[SampleBatch.PREV_ACTIONS] = previous[0][at]
                row[SampleBatch.PREV_REWARDS] = previous[1][at]
            row[SampleBatch.EPS_ID] = np.int64(episode.episode_id)
            row[SampleBatch.AGENT_INDEX] = np.int32(track.number)
            row[SampleBatch.UNROLL_ID] = np.int32(self._unrolls)
            track.states = [part[at] for part in states_out]
            track.pending = row
            actions[index][agent] = policy.columns.one(batch, at)

    def _env_actions(self, policy: Any, policy_id: str) -> Any:
        if policy_id not in self._to_env:
            from ..policy.actions import ActionsToEnv

            self._to_env[policy_id] = ActionsToEnv(
                policy.action_space, self._config["normalize_actions"], self._config["clip_actions"]
            )
        return self._to_env[policy_id]

    def _take(
        self, index: int, obs: Any, rewards: Any, terminateds: Any, truncateds: Any, infos: Any
    ) -> bool:
        """Notes what a step led to; true when the episode is over (the next one has begun then)."""
        running = self._running[index]
        episode = running.episode
        episode.length += 1
        horizon = self._config["horizon"]
        over = bool(terminateds.get("__all__", False))
        cut = bool(truncateds.get("__all__", False)) or bool(horizon and episode.length >= horizon)
        obs = self._observed(episode, obs)
        for agent, reward in rewards.items():
            track = self._track(running, agent)
            track.reward += float(clipped(float(reward), self._worker.clip_rewards))
            last = track.pending[SampleBatch.ACTIONS] if track.pending is not None else None
            episode.acted(agent, last, float(reward))
        for agent in set(obs) | set(running.tracks):
            self._take_agent(running, agent, obs, terminateds, truncateds, infos, over, cut)
        self._call("on_episode_step", episode, index)
        if not (over or cut):
            return False
        episode.is_terminated, episode.is_truncated = over, cut and not over
        self._call("on_episode_end", episode, index)
        self.records.append(episode.record())
        self._cut([index])
        self._running[index] = self._begin(index)
        return True

    def _take_agent(
        self,
        running: _Running,
        agent: Any,
        obs: Any,
        terminateds: Any,
        truncateds: Any,
        infos: Any,
        over: bool,
        cut: bool,
    ) -> None:
        track = self._track(running, agent)
        if track.done or (
            agent not in obs
            and not (over or cut or terminateds.get(agent) or truncateds.get(agent))
        ):
            return
        row = self._filtered(track.policy_id, obs[agent]) if agent in obs else None
        terminated = bool(terminateds.get(agent, False)) or over
        truncated = (bool(truncateds.get(agent, False)) or cut) and not terminated
        if self._config["no_done_at_end"]:
            terminated, truncated = False, terminated or truncated
        if row is not None:
            running.episode.observed(agent, obs[agent], row, infos.get(agent, {}))
        track.complete(row, terminated, truncated, running.episode.length - 1)
        track.done = terminated or truncated
        if not track.done and row is not None:
            running.seen[agent] = row

    def _failed(self, index: int, error: Exception) -> None:
        if not self._config["restart_failed_sub_environments"]:
            raise error
        self._worker.say(
            f"environment {self._worker.name_of(index)} raised {error!r}; it is made anew"
        )
        self._vector.restart_at(index)
        record = self._running[index].episode.record()
        record.faulty = True
        self.records.append(record)
        for track in self._running[index].tracks.values():
            track.complete(None, False, True, self._running[index].episode.length)
        self._cut([index])
        self._running[index] = self._begin(index)

    # Episodes

    def _begin(self, index: int) -> _Running:
        number = self._worker.env_indices[index] * (1 << 32) + self._counts[index]
        self._counts[index] += 1
        running = _Running(Episode(number, index, self._worker, self._worker.policy_for))
        self._call("on_episode_created", running.episode, index)
        seed = self._worker.reset_seed(index, self._counts[index])
        obs, infos = self._vector.reset_at(index, seed=seed)
        obs = self._observed(running.episode, obs)
        for agent, raw in obs.items():
            track = self._track(running, agent)
            running.seen[agent] = self._filtered(track.policy_id, raw)
            running.episode.observed(agent, raw, running.seen[agent], infos.get(agent, {}))
        self._call("on_episode_start", running.episode, index)
        return running

    def _observed(self, episode: Episode, obs: Any) -> Any:
        """What `observation_fn` makes of the agents' observations."""
        function = self._config["observation_fn"]
        if function is None:
            return obs
        return function(
            agent_obs=obs,
            worker=self._worker,
            base_env=self._worker.base_env,
            policies=self._worker.policy_map,
            episode=episode,
        )

    def _track(self, running: _Running, agent: Any) -> _Track:
        if agent not in running.tracks:
            policy_id = running.episode.policy_for(agent)
            if policy_id not in self._worker.policy_map:
                known = ", ".join(self._worker.policy_map)
                raise ValueError(
                    f"policy_mapping_fn gave {policy_id!r} for agent {agent!r}; there are the policies {known}"
                )
            initial = [
                np.asarray(part) for part in self._worker.policy_map[policy_id].get_initial_state()
            ]
            running.tracks[agent] = _Track(policy_id, initial, len(running.tracks))
        return running.tracks[agent]

    def _filtered(self, policy_id: str, raw: Any) -> Any:
        row = self._worker.preprocessors[policy_id].transform(raw)
        update = learns_filters(self._config)
        return self._worker.filters[policy_id](row[None], update)[0]

    def _call(self, hook: str, episode: Episode, index: int) -> None:
        tell(self._worker, hook, episode, index)

    # Batches

    def _cut(self, indices: list[int]) -> None:
        """Takes the complete rows of these environments' agents as trajectories."""
        for index in indices:
            running = self._running[index]
            raw: dict[Any, tuple[str, Any, SampleBatch]] = {}
            for agent, track in running.tracks.items():
                if track.rows:
                    rows, track.rows = track.rows, []
                    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
                    policy = self._worker.policy_map[track.policy_id]
                    raw[agent] = (track.policy_id, policy, SampleBatch(columns))
            for agent, (policy_id, policy, batch) in raw.items():
                others = {a: (p, b) for a, (_, p, b) in raw.items() if a != agent}
                done = self._postprocessed(policy, batch, others, running.episode)
                self._calls(
                    "on_postprocess_trajectory",
                    worker=self._worker,
                    episode=running.episode,
                    agent_id=agent,
                    policy_id=policy_id,
                    policies=self._worker.policy_map,
                    postprocessed_batch=done,
                    original_batches={a: (i, type(p), b) for a, (i, p, b) in raw.items()},
                )
                plain = {k: v for k, v in done.items() if not k.startswith("state_out_")}
                self._out.setdefault(policy_id, []).append(SampleBatch(plain))
        self._unrolls += 1

    def _postprocessed(
        self, policy: Any, batch: SampleBatch, others: Any, episode: Episode
    ) -> SampleBatch:
        if type(policy).postprocess_trajectory is not Policy.postprocess_trajectory:
            return policy.postprocess_trajectory(batch, others, episode)
        if not policy.adds_advantages:
            return batch
        config = policy.config
        last_r = 0.0
        if not batch[SampleBatch.TERMINATEDS][-1]:
            states, i = [], 0
            while f"state_out_{i}" in batch:
                states.append(batch[f"state_out_{i}"][-1:])
                i += 1
            last_r = float(policy.value_function(batch[SampleBatch.NEXT_OBS][-1:], states)[0])
        critic, gae = config.get("use_critic", True), config.get("use_gae", True)
        return compute_advantages(
            batch, last_r, config["gamma"], config["lambda_"] if gae else 1.0, gae, critic
        )

    def _batch(self, env_steps: int) -> MultiAgentBatch:
        out, self._out = self._out, {}
        return MultiAgentBatch(
            {name: concat_samples(parts) for name, parts in sorted(out.items())}, env_steps
        )
