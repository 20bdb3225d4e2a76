"""NativeWorker: a rollout worker whose environments and policy are native. Sampling is one call into C++.

It has neither gymnasium nor torch; what asks for Python environments (call-backs, filters) has a plain
RolloutWorker instead.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from .._native import env_spec, rl, threads
from ..policy.sample_batch import DEFAULT_POLICY_ID, SampleBatch
from .collected import Perf
from .episode import AGENT, EpisodeRecord
from .rollout_worker import RolloutWorker

__all__ = ["NativeSampler", "NativeWorker"]

_EPISODE_CHUNK = 64  # steps of each environment between looks at how many episodes have ended


class NativeWorker(RolloutWorker):
    """See RolloutWorker. config["env"] is an id of eagleray._rl."""

    def _make_envs(self) -> None:
        self._spec: Any = env_spec(self.config)

    def _make_policies(self) -> None:
        if self.worker_index == 0:
            super()._make_policies()  # the algorithm acts with them, on observations of any form
            return
        from ..policy.native_policy import NativePolicy

        observation, action = plain_spaces(self._spec)
        policy = NativePolicy(observation, action, self.config)
        self.callbacks("on_create_policy", policy_id=DEFAULT_POLICY_ID, policy=policy)
        self.policy_map = self.policy_dict = {DEFAULT_POLICY_ID: policy}
        self.preprocessors, self.filters = {}, {}
        self.policy_mapping_fn = None

    @property
    def sampler(self) -> Any:
        if self._sampler is None:
            self._sampler = NativeSampler(self, self.policy_map[DEFAULT_POLICY_ID])
        return self._sampler


def plain_spaces(spec: dict[str, Any]) -> tuple[Any, Any]:
    """The spaces of a native environment with the attributes that a NativePolicy looks at."""

    class Discrete(SimpleNamespace):
        shape = ()
        start = 0

    class Box(SimpleNamespace):
        dtype = np.dtype(np.float32)

    action = spec["action"]
    made: Any = (
        Discrete(n=action["n"])
        if action["type"] == "discrete"
        else Box(shape=(len(action["low"]),))
    )
    return Box(shape=(spec["obs_dim"],)), made


class NativeSampler:
    """Fragments and episodes from eagleray._rl.Rollout; driven by a worker, like SingleAgentSampler."""

    def __init__(self, worker: Any, policy: Any) -> None:
        self._worker = worker
        self._policy = policy
        self._evaluations = 0
        self._seed = worker.seed
        self._rollout = self._make()
        self.records: list[EpisodeRecord] = []
        self.perf = Perf()

    def _make(self) -> Any:
        config, indices = self._worker.config, self._worker.env_indices
        env = rl().VectorEnv(config["env"], len(indices), self._seed, first_index=indices[0])
        actions = (
            "normalize"
            if config["normalize_actions"]
            else "clip"
            if config["clip_actions"]
            else "raw"
        )
        gae = config.get("use_gae", True)
        return rl().Rollout(
            env,
            self._policy.mlp,
            gamma=config["gamma"],
            lambda_=config["lambda_"] if gae and "lambda_" in config else 1.0,
            seed=self._seed,
            threads=threads(config["num_cpus_per_env_runner"]),
            explore=bool(config["explore"]),
            actions=actions,
            use_critic=bool(config.get("use_critic", True)),
        )

    def start_anew(self) -> None:
        self.reset()

    def keep_all(self) -> None:
        """Native batches have what learning needs."""

    def reset(self) -> None:
        """New environments, with other random numbers than all before."""
        self._evaluations += 1
        sequence = np.random.SeedSequence([self._worker.seed, self._evaluations])
        self._seed = int(sequence.generate_state(1)[0])
        self._rollout = self._make()

    def fragments(self, count: int, steps: int, explore: bool) -> SampleBatch:
        """`count` fragments of `steps` steps of each environment; rows of environment 0 first."""
        began = time.perf_counter()
        self._rollout.explore = explore
        envs = len(self._worker.env_indices)
        parts = [self._rollout.sample(steps) for _ in range(count)]
        batch = SampleBatch()
        for name in parts[0]:
            shaped = [part[name].reshape(envs, steps, *part[name].shape[1:]) for part in parts]
            joined = shaped[0] if count == 1 else np.concatenate(shaped, axis=1)
            batch[name] = joined.reshape(envs * steps * count, *joined.shape[2:])
        index = batch.pop("env_index").astype(np.int32)
        batch[SampleBatch.AGENT_INDEX] = index + np.int32(self._worker.env_indices[0])
        self._take_episodes()
        self.perf.steps += steps * count
        self.perf.inference += time.perf_counter() - began
        return batch

    def episodes(self, count: int, least_steps: int, explore: bool) -> SampleBatch:
        """Whole episodes, the same number from each environment, so that short ones are not favoured. No batch."""
        self.reset()
        self._rollout.explore = explore
        envs = len(self._worker.env_indices)
        quota = max(-(-count // envs), 1)
        done: dict[int, list[EpisodeRecord]] = {}
        while len(done) < envs or any(len(records) < quota for records in done.values()):
            self._rollout.sample(_EPISODE_CHUNK)
            for record in self._ended():
                done.setdefault(record.eps_id >> 32, []).append(record)
        self.records = [record for records in done.values() for record in records[:quota]]
        steps = sum(record.length for record in self.records)
        self.perf.steps += steps
        return SampleBatch(rewards=np.zeros(steps, np.float32))

    def _take_episodes(self) -> None:
        self.records += self._ended()

    def _ended(self) -> list[EpisodeRecord]:
        ended = self._rollout.episodes()
        rows = zip(ended["returns"], ended["lengths"], ended["eps_id"], strict=True)
        return [
            EpisodeRecord(
                int(length),
                float(reward),
                {(AGENT, DEFAULT_POLICY_ID): float(reward)},
                eps_id=int(eps_id),
            )
            for reward, length, eps_id in rows
        ]

    def get_state(self) -> dict[str, Any]:
        return {
            "rollout": self._rollout.save(),
            "seed": self._seed,
            "evaluations": self._evaluations,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._seed, self._evaluations = state["seed"], state["evaluations"]
        self._rollout = self._make()
        self._rollout.load(state["rollout"])
