"""SingleAgentSampler: steps a vector of Python environments with one policy and makes batches of it.

Driven by a RolloutWorker, one fragment after the other; environments go on where they were.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..policy.policy import Policy
from ..policy.sample_batch import DEFAULT_POLICY_ID, SampleBatch
from ..utils.lazy import lazily
from .collected import Perf
from .episode import AGENT, Episode, EpisodeRecord
from .fragment import Fragment, add_advantages, env_major, joined, trajectories
from .running import read_running, write_running
from .sampling import as_number, check_finite, clipped, learns_filters, tell

__all__ = ["SingleAgentSampler"]

# What belongs to running episodes, besides the environments and the episodes themselves.
_RUNNING = ("_obs", "_states", "_previous", "_raws", "_lengths", "_ids")
_EPISODE_HOOKS = ("on_episode_created", "on_episode_start", "on_episode_step", "on_episode_end")


class SingleAgentSampler:
    """worker: gives vector_env, policy, preprocessor, filter, config, callbacks, env_indices, seeds."""

    def __init__(self, worker: Any, policy: Any) -> None:
        self._worker = worker
        self._config = worker.config
        self._policy = policy
        self._vector = worker.vector_env
        self._envs = self._vector.num_envs
        self._prep = worker.preprocessors[DEFAULT_POLICY_ID]
        self._filter = worker.filters[DEFAULT_POLICY_ID]
        self._calls = worker.callbacks
        self._watched = self._calls.uses(*_EPISODE_HOOKS)
        self._to_env = worker.actions_to_env
        self._columns = policy.columns
        self._counts = [0] * self._envs  # episodes begun, by environment
        self._lengths = np.zeros(self._envs, np.int32)  # of the running episodes
        self._ids = np.zeros(self._envs, np.int64)  # theirs
        self._episodes: list[Episode] = []
        self._raws: dict[int, Any] = {}  # what resets gave, by environment
        self._obs: Any = None
        self._states: list[Any] = []
        self._previous: tuple[Any, Any] | None = None
        self._unrolls = 0
        self._acted = 0
        self._by_step = hasattr(self._vector, "step_at")
        # Settings that every step looks at.
        self._learns = learns_filters(self._config)
        self._horizon, self._soft = self._config["horizon"], self._config["soft_horizon"]
        self._no_ends = bool(self._config["no_done_at_end"])
        self._rows = np.empty((self._envs, *self._prep.shape), self._prep.dtype)
        self._per_trajectory = type(
            policy
        ).postprocess_trajectory is not Policy.postprocess_trajectory or self._calls.uses(
            "on_postprocess_trajectory"
        )
        keep = self._per_trajectory or self._config["output"] or self._calls.uses("on_sample_end")
        self._drop = set() if keep else {SampleBatch.NEXT_OBS, SampleBatch.T}
        self._at_starts = False  # whether every environment is where its episode begins
        self.records: list[EpisodeRecord] = []
        self.perf = Perf()

    def keep_all(self) -> None:
        """From here on batches have the columns, too, that no learner here needs."""
        self._drop = set()

    def get_state(self) -> dict[str, Any]:
        """Counters, from which random numbers follow; and the running episodes where the environments can be kept."""
        return {
            "counts": list(self._counts),
            "acted": self._acted,
            "unrolls": self._unrolls,
            "seed": self._worker.seed,
            "running": self._running_state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._counts, self._acted = list(state["counts"]), state["acted"]
        self._unrolls = state["unrolls"]
        self._worker.seed = state.get("seed", self._worker.seed)
        running = read_running(state.get("running"), self._vector)
        if running is None:
            self._obs = None  # new episodes
            return
        self._episodes = [
            Episode(0, i, self._worker, self._worker.policy_for) for i in range(self._envs)
        ]
        for episode, saved in zip(self._episodes, running.pop("_episodes"), strict=True):
            episode.set_state(saved)
        vars(self).update(running)

    def _running_state(self) -> bytes | None:
        if self._obs is None or not self._by_step:
            return None
        running = {name: getattr(self, name) for name in _RUNNING}
        episodes = [episode.get_state() for episode in self._episodes]
        return write_running({**running, "_episodes": episodes}, self._vector)

    def start_anew(self) -> None:
        """New episodes everywhere, where they are not just beginning; what was running is not counted."""
        if not self._at_starts or self._filter.is_filter:
            self.reset()

    def reset(self) -> None:
        """Begins new episodes everywhere; what was running is not counted."""
        self._episodes = [self._begin(i) for i in range(self._envs)]
        rows = [self._reset_at(i) for i in range(self._envs)]
        self._obs = self._filter(np.stack(rows), self._learns)
        for i, episode in enumerate(self._episodes):
            self._started(episode, rows[i], self._obs[i])
        initial = self._policy.get_initial_state()
        self._states = [np.repeat(np.asarray(part)[None], self._envs, 0) for part in initial]
        self._at_starts = True
        self._previous = None
        if self._policy.needs_state:
            self._previous = (
                np.zeros((self._envs, *self._columns.shape), self._columns.dtype),
                np.zeros(self._envs, np.float32),
            )

    def fragments(self, count: int, steps: int, explore: bool) -> SampleBatch:
        """`count` fragments of `steps` steps of each environment."""
        if self._obs is None:
            self.reset()
        self._at_starts = False
        made = []
        for _ in range(count):
            fragment = Fragment(steps, self._envs)
            everyone = list(range(self._envs))
            for t in range(steps):
                self._step(fragment, t, everyone, explore)
            fragment.length = steps
            made.append(fragment)
            self._number(fragment)
        return self._finish(made)

    def episodes(self, count: int, least_steps: int, explore: bool) -> SampleBatch:
        """Whole episodes from new starts: at least `count` of them, and at least `least_steps` steps."""
        if not self._at_starts:
            self.reset()
        fragment = Fragment(64, self._envs)
        active = list(range(self._envs))
        ended = steps = t = 0
        while active:
            fragment.ensure(t)
            over = self._step(fragment, t, active, explore)
            t += 1
            steps += len(active)
            ended += len(over)
            if ended + len(active) - len(over) >= count and steps >= least_steps:
                active = [i for i in active if i not in over]
        fragment.length = t
        fragment.trim()
        self._number(fragment)
        return self._finish([fragment])

    def _number(self, fragment: Fragment) -> None:
        fragment.fill(SampleBatch.AGENT_INDEX, np.asarray(self._worker.env_indices, np.int32))
        fragment.fill(SampleBatch.UNROLL_ID, np.full(self._envs, self._unrolls, np.int32))
        self._unrolls += 1

    # One step

    def _step(self, fragment: Fragment, t: int, active: list[int], explore: bool) -> set[int]:
        """Steps the active environments; gives those whose episode ended."""
        began = time.perf_counter()
        obs = self._obs
        previous = self._previous or (None, None)
        noise = (
            (self._worker.seed, self._worker.env_indices[0], self._acted)
            if self._policy.takes_noise
            else None
        )
        self._acted += 1
        try:
            rows, states, extras = self._policy.act(obs, self._states, *previous, explore, noise)
        except ValueError:
            check_finite(SampleBatch.OBS, np.asarray(obs)[None], self._worker)
            raise
        inferred = time.perf_counter()
        actions = self._to_env(self._columns.to_batch(rows))
        acted = time.perf_counter()
        self._note_before(fragment, t, obs, rows, extras)
        raws, rewards, terminateds, truncateds, infos = self._env_step(actions, active)
        stepped = time.perf_counter()
        if len(active) == self._envs:
            fragment.used[t] = True
        else:
            fragment.used[t, active] = True
        for i, part in enumerate(states):
            fragment.put(t, f"state_out_{i}", part)
        self._states = states
        over = self._note_after(
            fragment, t, active, raws, rewards, terminateds, truncateds, infos, actions
        )
        if self._previous is not None:
            ends = terminateds | truncateds
            self._previous = (
                np.where(_wide(ends, rows), np.zeros_like(rows), rows),
                np.where(ends, np.float32(0), rewards),
            )
        perf = self.perf
        perf.steps += 1
        perf.inference += inferred - began
        perf.actions += acted - inferred
        perf.env += stepped - acted
        perf.observations += time.perf_counter() - stepped
        return over

    def _note_before(self, fragment: Fragment, t: int, obs: Any, rows: Any, extras: Any) -> None:
        fragment.put(t, SampleBatch.OBS, obs)
        fragment.put(t, SampleBatch.ACTIONS, rows)
        for name, value in extras.items():
            fragment.put(t, name, value)
        for i, part in enumerate(self._states):
            fragment.put(t, f"state_in_{i}", part)
        if self._previous is not None:
            fragment.put(t, SampleBatch.PREV_ACTIONS, self._previous[0])
            fragment.put(t, SampleBatch.PREV_REWARDS, self._previous[1])
        fragment.put(t, SampleBatch.T, self._lengths)
        fragment.put(t, SampleBatch.EPS_ID, self._ids)

    def _env_step(self, actions: Any, active: list[int]) -> Any:
        envs = self._envs
        raws: list[Any] = [None] * envs
        infos: list[Any] = [None] * envs
        rewards = np.zeros(envs, np.float32)
        terminateds, truncateds = np.zeros(envs, bool), np.zeros(envs, bool)
        if not self._by_step:
            chosen = [self._columns.one(actions, i) for i in range(envs)]
            result = self._vector.vector_step(chosen)
            if len(result) == 4:
                result = (*result[:3], [False] * envs, result[3])
            raws, infos = list(result[0]), list(result[4])
            rewards[:], terminateds[:], truncateds[:] = result[1], result[2], result[3]
            return raws, rewards, terminateds, truncateds, infos
        if self._config.envs_in_processes:
            for i in active:
                self._vector.begin(i, self._columns.one(actions, i))
        for i in active:
            try:
                raws[i], reward, terminateds[i], truncateds[i], infos[i] = self._vector.step_at(
                    i, self._columns.one(actions, i)
                )
                rewards[i] = reward if type(reward) is float else as_number(reward)
            except Exception as error:
                self._failed(i, error)
                truncateds[i], infos[i] = True, {"error": error}
        return raws, rewards, terminateds, truncateds, infos

    def _failed(self, index: int, error: Exception) -> None:
        """A step raised: the environment is made anew if the configuration says so, else the error goes on."""
        if not self._config["restart_failed_sub_environments"]:
            raise error
        self._worker.say(
            f"environment {self._worker.name_of(index)} raised {error!r}; it is made anew"
        )
        self._vector.restart_at(index)

    def _note_after(
        self,
        fragment: Fragment,
        t: int,
        active: list[int],
        raws: list[Any],
        rewards: Any,
        terminateds: Any,
        truncateds: Any,
        infos: list[Any],
        actions: Any,
    ) -> set[int]:
        next_rows = self._obs.copy() if len(active) < self._envs else np.empty_like(self._obs)
        fresh: dict[int, Any] = {}
        rows, earned = self._rows, rewards.tolist()
        self._lengths[active] += 1
        for i in active:
            episode = self._episodes[i]
            episode.length += 1
            episode.total_reward += earned[i]
            raw = raws[i]
            row = rows[i] = self._last_raw(i) if raw is None else self._prep.transform(raw)
            if self._horizon and episode.length >= self._horizon and not terminateds[i]:
                truncateds[i] = True
            if self._watched and raw is not None:
                self._watch(episode, i, raw, row, infos[i], actions, earned[i])
                self._call("on_episode_step", episode, i)
            if terminateds[i] or truncateds[i]:
                fresh[i] = self._end(i, raw is None, bool(terminateds[i]), row)
        next_rows[active] = self._filter(rows[active], self._learns)
        self._write_outcome(fragment, t, next_rows, rewards, terminateds, truncateds)
        if fresh:
            next_rows = next_rows.copy()
            next_rows[list(fresh)] = self._filter(np.stack(list(fresh.values())), self._learns)
            initial = self._policy.get_initial_state()
            for part, start in zip(self._states, initial, strict=True):
                part[list(fresh)] = start
            for i in fresh:
                self._started(self._episodes[i], fresh[i], next_rows[i])
        self._obs = next_rows
        return set(fresh)

    def _write_outcome(
        self,
        fragment: Fragment,
        t: int,
        next_rows: Any,
        rewards: Any,
        terminateds: Any,
        truncateds: Any,
    ) -> None:
        fragment.put(t, SampleBatch.NEXT_OBS, next_rows)
        fragment.put(t, SampleBatch.REWARDS, clipped(rewards, self._worker.clip_rewards))
        if self._no_ends:
            truncateds, terminateds = truncateds | terminateds, np.zeros_like(terminateds)
        fragment.put(t, SampleBatch.TERMINATEDS, terminateds)
        fragment.put(t, SampleBatch.TRUNCATEDS, truncateds)

    # Episodes

    def _begin(self, index: int) -> Episode:
        number = self._worker.env_indices[index] * (1 << 32) + self._counts[index]
        episode = Episode(number, index, self._worker, self._worker.policy_for)
        self._counts[index] += 1
        self._ids[index], self._lengths[index] = number, 0
        if self._watched:
            self._call("on_episode_created", episode, index)
        return episode

    def _reset_at(self, index: int) -> Any:
        seed = self._worker.reset_seed(index, self._counts[index])
        raw, _ = self._vector.reset_at(index, seed=seed)
        self._raws[index] = raw
        return self._prep.transform(raw)

    def _last_raw(self, index: int) -> Any:
        return self._prep.transform(self._raws[index])

    def _started(self, episode: Episode, row: Any, obs: Any) -> None:
        if self._watched:
            episode.observed(AGENT, self._raws[episode.env_id], obs, {})
            self._call("on_episode_start", episode, episode.env_id)

    def _watch(
        self,
        episode: Episode,
        index: int,
        raw: Any,
        row: Any,
        info: Any,
        actions: Any,
        reward: float,
    ) -> None:
        episode.total_reward -= reward  # acted() adds it
        episode.acted(AGENT, self._columns.one(actions, index), reward)
        episode.observed(AGENT, raw, row, info)

    def _end(self, index: int, faulty: bool, terminated: bool, row: Any) -> Any:
        """Counts the episode and begins the next: its first observation."""
        episode = self._episodes[index]
        episode.is_terminated, episode.is_truncated = terminated, not terminated
        if self._watched and not faulty:
            self._call("on_episode_end", episode, index)
        record = episode.record()
        record.faulty = faulty
        if not record.agent_rewards:
            record.agent_rewards = {(AGENT, DEFAULT_POLICY_ID): record.reward}
        self.records.append(record)
        self._episodes[index] = self._begin(index)
        soft = self._soft and not terminated and not faulty
        return row if soft else self._reset_at(index)

    def _call(self, hook: str, episode: Episode, index: int) -> None:
        tell(self._worker, hook, episode, index, rl_module=self._policy)

    # Batches

    def _finish(self, fragments: list[Fragment]) -> SampleBatch:
        for fragment in fragments:
            for name in (SampleBatch.OBS, SampleBatch.REWARDS):
                check_finite(name, fragment.columns[name], self._worker)
        custom = type(self._policy).postprocess_trajectory is not Policy.postprocess_trajectory
        if self._policy.adds_advantages and not custom:
            for fragment in fragments:
                add_advantages(fragment, self._policy, self._config)
        if not self._per_trajectory:
            return env_major(fragments, self._drop)
        parts = []
        for part in trajectories(fragments):
            batch = self._policy.postprocess_trajectory(part, {}, None) if custom else part
            self._calls(
                "on_postprocess_trajectory",
                worker=self._worker,
                episode=self._episodes[0],
                agent_id=AGENT,
                policy_id=DEFAULT_POLICY_ID,
                policies=self._worker.policy_map,
                postprocessed_batch=batch,
                original_batches={AGENT: (DEFAULT_POLICY_ID, type(self._policy), part)},
            )
            parts.append(batch)
        return joined(parts, {name for name in parts[0] if name.startswith("state_out_")})


def _wide(flags: Any, like: Any) -> Any:
    return flags.reshape(-1, *[1] * (np.asarray(like).ndim - 1))


__getattr__ = lazily(__name__)  # names that are planned
