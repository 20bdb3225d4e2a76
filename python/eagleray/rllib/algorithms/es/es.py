"""ES (Salimans et al., 2017): mirrored perturbations of the weights, centred ranks, Adam."""

from __future__ import annotations

from typing import Any

import numpy as np

import eagleray as ray

from ...evaluation.collected import Collected, Perf
from ...evaluation.perturbed import direction, flat, run_directions, unflat
from ...policy.sample_batch import DEFAULT_POLICY_ID
from ..algorithm import Algorithm
from ..algorithm_config import AlgorithmConfig

__all__ = ["ES", "ESConfig", "centered_ranks"]


class ESConfig(AlgorithmConfig):
    """The settings of ES, with Ray's defaults."""

    OWN = {
        "num_env_runners": 10,
        "observation_filter": "MeanStdFilter",
        "batch_mode": "complete_episodes",
        "l2_coeff": 0.005,
        "noise_stdev": 0.02,
        "episodes_per_batch": 1000,
        "train_batch_size": 10000,
        "stepsize": 0.01,
        "action_noise_std": 0.01,
        "eval_prob": 0.03,
        "noise_size": 250_000_000,
        "report_length": 10,
        "return_proc_mode": "centered_rank",
        "use_critic": False,
        "use_gae": False,
        "lambda_": 1.0,
    }

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class=algo_class or ES)

    def validate(self) -> None:
        super().validate()
        if self.is_multi_agent:
            raise NotImplementedError(
                "evolution strategies with several policies are not implemented"
            )


def centered_ranks(rewards: Any) -> Any:
    """Ranks of all values, scaled to [-0.5, 0.5]."""
    order = np.empty(rewards.size, int)
    order[rewards.ravel().argsort(kind="stable")] = np.arange(rewards.size)
    return (order / max(rewards.size - 1, 1) - 0.5).reshape(rewards.shape)


class ES(Algorithm):
    """One iteration: at least episodes_per_batch episodes and train_batch_size steps, then one step of Adam.

    The same seeds give the same run whatever the number of workers, except for filters of observations.
    """

    _config_class: Any = ESConfig
    shares_learning = False
    native_loss = "pg"  # never used: it makes the net native where it can be

    @classmethod
    def get_default_policy_class(cls, config: Any) -> Any:
        from ...policy.actor_critic_torch_policies import PGTorchPolicy

        return PGTorchPolicy

    def setup(self, config: Any) -> None:
        super().setup(config)
        self._policy_weights = self.get_policy().get_weights()
        self._vector = flat(self._policy_weights)
        self._first = np.zeros_like(self._vector)
        self._second = np.zeros_like(self._vector)
        self._updates = 0

    def training_step(self) -> dict[str, Any]:
        config = self._algorithm_config
        seeds, rewards = self._evaluated(
            config["episodes_per_batch"], config["train_batch_size"], config["noise_stdev"]
        )
        ranks = centered_ranks(rewards)
        weights = (ranks[:, 0] - ranks[:, 1]).astype(np.float32)
        gradient = self._summed(seeds, weights) / rewards.size
        self._adam(config["l2_coeff"] * self._vector - gradient, config["stepsize"])
        return self._learned(gradient, rewards)

    def _summed(self, seeds: list[int], weights: Any) -> Any:
        total = np.zeros_like(self._vector)
        for seed, weight in zip(seeds, weights, strict=True):
            total += weight * direction(seed, len(total))
        return total

    def _adam(self, gradient: Any, stepsize: float) -> None:
        self._updates += 1
        self._first = 0.9 * self._first + 0.1 * gradient
        self._second = 0.999 * self._second + 0.001 * gradient * gradient
        scale = stepsize * np.sqrt(1 - 0.999**self._updates) / (1 - 0.9**self._updates)
        self._vector = self._vector - (scale * self._first / (np.sqrt(self._second) + 1e-8)).astype(
            np.float32
        )

    def _learned(self, gradient: Any, rewards: Any) -> dict[str, Any]:
        self.set_weights({DEFAULT_POLICY_ID: unflat(self._vector, self._policy_weights)})
        stats = {
            "grad_norm": float(np.square(gradient).sum()),
            "weights_norm": float(np.square(self._vector).sum()),
            "episodes": int(rewards.size),
        }
        return {DEFAULT_POLICY_ID: {"learner_stats": stats}}

    def _evaluated(self, episodes: int, steps: int, deviation: float) -> tuple[list[int], Any]:
        """Seeds of directions, and rewards [n, 2] forwards and backwards."""
        seeds: list[int] = []
        found: list[Any] = []
        made = 0
        while 2 * len(seeds) < episodes or made < steps:
            count = max(-(-(episodes - 2 * len(seeds)) // 2), 1)
            fresh = [int(seed) for seed in self._generator.integers(1 << 62, size=count)]
            rewards, lengths = self._spread(fresh, deviation)
            seeds += fresh
            found.append(rewards)
            made += int(lengths.sum())
        return seeds, np.concatenate(found)

    def _spread(self, seeds: list[int], deviation: float) -> tuple[Any, Any]:
        """Runs directions in all workers; answers in the order of the seeds."""
        filters = self._filter_states()
        remote = self.workers.remote_workers()
        if not remote:
            local = self.workers.local_worker()
            answers = [run_directions(local, self._vector, seeds, deviation, filters)]
            local.set_weights({DEFAULT_POLICY_ID: unflat(self._vector, self._policy_weights)})
        else:
            vector = ray.put(self._vector)
            shares = [
                part.tolist() for part in np.array_split(np.asarray(seeds, np.int64), len(remote))
            ]
            answers = ray.get(
                [
                    worker.apply.remote(run_directions, vector, share, deviation, filters)
                    for worker, share in zip(remote, shares, strict=True)
                    if share
                ]
            )
        steps = 0
        for _, lengths, episodes, deltas in answers:
            count = int(lengths.sum())
            self._latest.append(Collected(None, count, count, episodes, Perf(), deltas))
            steps += count
        self._take_filters(self._latest[-len(answers) :])
        for name in self._counters:
            self._counters[name] += steps
        return np.concatenate([a[0] for a in answers]), np.concatenate([a[1] for a in answers])

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "es": self._own_state()}

    def _own_state(self) -> dict[str, Any]:
        return {
            "vector": self._vector,
            "first": self._first,
            "second": self._second,
            "updates": self._updates,
        }

    def set_state(self, state: Any) -> None:
        super().set_state(state)
        own = state["es"]
        self._vector, self._first, self._second = own["vector"], own["first"], own["second"]
        self._updates = own["updates"]
