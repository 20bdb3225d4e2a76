"""Importance sampling, step by step: rewards weighed by how much likelier the target policy's actions are.

p[t] is the product of pi_target(a|s) / pi_behavior(a|s) up to step t. "is" estimates sum(gamma**t * p[t] * r[t]) for
each episode; "wis" divides p[t] by its mean over the episodes seen, which is biased and varies less.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...policy.sample_batch import SampleBatch, convert_ma_batch_to_sample_batch

__all__ = [
    "ImportanceSampling",
    "OffPolicyEstimator",
    "WeightedImportanceSampling",
    "make_estimators",
]


class OffPolicyEstimator:
    """estimate(batch) of a policy. gamma: discount. epsilon_greedy: the share of actions that are random in the
    target policy (Discrete actions only). A subclass defines estimate_on_single_episode()."""

    def __init__(self, policy: Any, gamma: float = 0.0, epsilon_greedy: float = 0.0) -> None:
        self.policy, self.gamma, self.epsilon_greedy = policy, gamma, epsilon_greedy

    def estimate_on_single_episode(self, episode: SampleBatch) -> dict[str, float]:
        """{"v_behavior": ..., "v_target": ...} of one episode."""
        raise NotImplementedError(f"{type(self).__name__} has no estimate_on_single_episode()")

    def estimate_on_single_step_samples(self, batch: SampleBatch) -> dict[str, list[float]]:
        """The same of episodes of one step each."""
        ones = [self.estimate_on_single_episode(part) for part in batch.timeslices(1)]
        return {name: [one[name] for one in ones] for name in ("v_behavior", "v_target")}

    def peek_on_single_episode(self, episode: SampleBatch) -> None:
        """Sees each episode before any is estimated."""

    def on_before_split_batch_by_episode(self, sample_batch: SampleBatch) -> SampleBatch:
        return sample_batch

    def on_after_split_batch_by_episode(self, all_episodes: list[Any]) -> list[Any]:
        return all_episodes

    def train(self, batch: Any) -> dict[str, Any]:
        """Learns from a batch, where an estimator has something to learn."""
        return {}

    def estimate(self, batch: Any, split_batch_by_episode: bool = True) -> dict[str, float]:
        """v_behavior and v_target (discounted returns, means over episodes), their deviations, v_gain (their quotient)
        and v_delta (their difference). ValueError: the batch does not say how likely its actions were."""
        batch = convert_ma_batch_to_sample_batch(batch)
        self.check_action_prob_in_batch(batch)
        if split_batch_by_episode:
            batch = self.on_before_split_batch_by_episode(batch)
            episodes = self.on_after_split_batch_by_episode(batch.split_by_episode())
            for episode in episodes:
                self.peek_on_single_episode(episode)
            ones = [self.estimate_on_single_episode(episode) for episode in episodes]
            found = {name: [one[name] for one in ones] for name in ("v_behavior", "v_target")}
        else:
            found = self.estimate_on_single_step_samples(batch)
        estimates: dict[str, float] = {}
        for name, values in found.items():
            estimates[name] = float(np.mean(values))
            estimates[f"{name}_std"] = float(np.std(values))
        estimates["v_gain"] = estimates["v_target"] / max(estimates["v_behavior"], 1e-8)
        estimates["v_delta"] = estimates["v_target"] - estimates["v_behavior"]
        return estimates

    def check_action_prob_in_batch(self, batch: SampleBatch) -> None:
        if SampleBatch.ACTION_PROB not in batch and SampleBatch.ACTION_LOGP not in batch:
            raise ValueError(
                "off-policy estimation needs the probability of each action, but the experience has neither "
                '"action_prob" nor "action_logp"; off_policy_estimation_methods={} turns it off'
            )

    def compute_action_probs(self, batch: SampleBatch) -> Any:
        """pi_target(a|s) of each row."""
        new = np.exp(
            np.asarray(
                self.policy.compute_log_likelihoods(
                    batch[SampleBatch.ACTIONS], batch[SampleBatch.OBS]
                ),
                np.float64,
            )
        )
        if self.epsilon_greedy > 0.0:
            if type(self.policy.action_space).__name__ != "Discrete":
                raise ValueError("epsilon_greedy is for Discrete actions only")
            share = self.epsilon_greedy
            new = new * (1 - share) + share / int(self.policy.action_space.n)
        return new

    def _ratios_of_steps(self, episode: SampleBatch) -> Any:
        """pi_target(a|s) / pi_behavior(a|s) of each step."""
        if SampleBatch.ACTION_PROB in episode:
            old = np.asarray(episode[SampleBatch.ACTION_PROB], np.float64)
        else:
            old = np.exp(np.asarray(episode[SampleBatch.ACTION_LOGP], np.float64))
        return self.compute_action_probs(episode) / old

    def _ratios(self, episode: SampleBatch) -> Any:
        """p[t] of an episode."""
        return np.cumprod(self._ratios_of_steps(episode))

    def _weighed(self, episode: SampleBatch, ratios: Any) -> dict[str, float]:
        rewards = np.asarray(episode[SampleBatch.REWARDS], np.float64)
        discounted = rewards * self.gamma ** np.arange(len(rewards))
        return {
            "v_behavior": float(discounted.sum()),
            "v_target": float((ratios * discounted).sum()),
        }


class ImportanceSampling(OffPolicyEstimator):
    """ "is": unbiased; its variance grows with the length of episodes."""

    def estimate_on_single_episode(self, episode: SampleBatch) -> dict[str, float]:
        return self._weighed(episode, self._ratios(episode))


class WeightedImportanceSampling(OffPolicyEstimator):
    """ "wis": p[t] is divided by its mean over all episodes that have been seen."""

    def __init__(self, policy: Any, gamma: float = 0.0, epsilon_greedy: float = 0.0) -> None:
        super().__init__(policy, gamma, epsilon_greedy)
        self._sums: list[float] = []
        self._counts: list[int] = []

    def peek_on_single_episode(self, episode: SampleBatch) -> None:
        for t, ratio in enumerate(self._ratios(episode)):
            if t >= len(self._sums):
                self._sums.append(0.0)
                self._counts.append(0)
            self._sums[t] += float(ratio)
            self._counts[t] += 1

    def estimate_on_single_episode(self, episode: SampleBatch) -> dict[str, float]:
        means = np.asarray(self._sums[: episode.count]) / self._counts[: episode.count]
        return self._weighed(episode, self._ratios(episode) / means)

    def estimate_on_single_step_samples(self, batch: SampleBatch) -> dict[str, list[float]]:
        parts = batch.timeslices(1)
        for part in parts:
            self.peek_on_single_episode(part)
        return super().estimate_on_single_step_samples(batch)


_BY_NAME: dict[str, Any] = {
    "is": ImportanceSampling,
    "wis": WeightedImportanceSampling,
    "ImportanceSampling": ImportanceSampling,
    "WeightedImportanceSampling": WeightedImportanceSampling,
}
_WITH_MODELS = {
    "dm": "DirectMethod",
    "dr": "DoublyRobust",
    "DirectMethod": "DirectMethod",
    "DoublyRobust": "DoublyRobust",
}


def estimator_settings(methods: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    """`off_policy_estimation_methods` ({name: {"type": ..., ...}}), or `input_evaluation` of Ray 1.x (["is", "wis"]):
    the class and further arguments by name. ValueError: unknown."""
    if isinstance(methods, list | tuple | set):
        methods = {name: {"type": name} for name in methods}
    found = {}
    for name, settings in (methods or {}).items():
        rest = dict(settings)
        kind = rest.pop("type", name)
        if kind == "simulation" or name == "simulation":
            continue  # evaluation in the environment is what evaluation_interval asks for
        if kind in _WITH_MODELS:
            from . import fitted_q  # needs PyTorch

            made = getattr(fitted_q, _WITH_MODELS[kind])
        else:
            made = _BY_NAME.get(kind, kind)
        if not callable(made):
            raise ValueError(f"unknown off-policy estimator {kind!r}; there are is, wis, dm and dr")
        found[name] = (made, rest)
    return found


def make_estimators(methods: Any, policy: Any, gamma: float) -> dict[str, Any]:
    """The estimators of a configuration, by name."""
    return {
        name: made(policy=policy, gamma=gamma, **rest)
        for name, (made, rest) in estimator_settings(methods).items()
    }
