"""Advantages: generalised advantage estimation over fragments that may hold several episodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..policy.sample_batch import SampleBatch

__all__ = [
    "Postprocessing",
    "adjust_nstep",
    "compute_advantages",
    "compute_bootstrap_value",
    "compute_gae",
    "compute_gae_for_sample_batch",
    "discount_cumsum",
    "gae",
]


class Postprocessing:
    """Names of the columns that are added."""

    ADVANTAGES = "advantages"
    VALUE_TARGETS = "value_targets"


def gae(
    rewards: Any, values: Any, next_values: Any, ends: Any, gamma: float, lambda_: float
) -> tuple[Any, Any]:
    """Advantages and value targets of fragments in time order.

    All arrays are float32 [steps, envs]; `next_values` is V of what followed each step, 0 after a terminal
    state; `ends` (bool) is where a trajectory ends: nothing is carried back across it. Sums are made in
    float64 from the last step to the first, so that they do not depend on how many fragments there are.
    """
    deltas = np.asarray(rewards, np.float64) + gamma * np.asarray(next_values, np.float64) - values
    going = gamma * lambda_ * ~np.asarray(ends, bool)
    advantages = np.empty_like(deltas)
    carried = np.zeros(deltas.shape[1:], np.float64)
    for t in range(len(deltas) - 1, -1, -1):
        carried = deltas[t] + going[t] * carried
        advantages[t] = carried
    return advantages.astype(np.float32), (advantages + values).astype(np.float32)


def discount_cumsum(x: Any, gamma: float) -> Any:
    """y[t] = x[t] + gamma * y[t + 1]."""
    out = np.empty(len(x), np.float64)
    carried = 0.0
    for t in range(len(x) - 1, -1, -1):
        carried = float(x[t]) + gamma * carried
        out[t] = carried
    return out.astype(np.float32)


def compute_advantages(
    rollout: SampleBatch,
    last_r: float,
    gamma: float = 0.9,
    lambda_: float = 1.0,
    use_gae: bool = True,
    use_critic: bool = True,
) -> SampleBatch:
    """Adds "advantages" and "value_targets" to one trajectory.

    last_r: V of what followed the last step, 0 after a terminal state. Without GAE the advantage is the
    discounted return, minus V where there is a critic.
    """
    rewards = np.asarray(rollout[SampleBatch.REWARDS], np.float64)
    if use_gae:
        values = np.asarray(rollout[SampleBatch.VF_PREDS], np.float32)
        next_values = np.append(values[1:], np.float32(last_r))
        ends = np.zeros((len(rewards), 1), bool)
        advantages, targets = gae(
            rewards[:, None], values[:, None], next_values[:, None], ends, gamma, lambda_
        )
        rollout["advantages"], rollout["value_targets"] = advantages[:, 0], targets[:, 0]
        return rollout
    returns = discount_cumsum(np.append(rewards, last_r), gamma)[:-1]
    if use_critic:
        rollout["advantages"] = returns - rollout[SampleBatch.VF_PREDS]
        rollout["value_targets"] = returns
    else:
        rollout["advantages"] = returns
        rollout["value_targets"] = np.zeros_like(returns)
    return rollout


def compute_gae(policy: Any, batch: SampleBatch, **settings: Any) -> SampleBatch:
    """compute_advantages() of one trajectory with V of its end from the policy's value function."""
    last_r = 0.0
    if not batch[SampleBatch.TERMINATEDS][-1]:
        last_r = float(policy.value_function(batch[SampleBatch.NEXT_OBS][-1:])[0])
    return compute_advantages(batch, last_r, **settings)


def compute_bootstrap_value(sample_batch: SampleBatch, policy: Any) -> SampleBatch:
    """Adds "values_bootstrapped": zeros, and in the last row V of what followed it (0 after a terminal state)."""
    values = np.zeros(sample_batch.count, np.float32)
    if not sample_batch[SampleBatch.TERMINATEDS][-1]:
        states, i = [], 0
        while f"state_out_{i}" in sample_batch:
            states.append(sample_batch[f"state_out_{i}"][-1:])
            i += 1
        values[-1] = float(
            policy.value_function(sample_batch[SampleBatch.NEXT_OBS][-1:], states)[0]
        )
    sample_batch[SampleBatch.VALUES_BOOTSTRAPPED] = values
    return sample_batch


def compute_gae_for_sample_batch(
    policy: Any, sample_batch: SampleBatch, other_agent_batches: Any = None, episode: Any = None
) -> SampleBatch:
    """compute_advantages() of one trajectory with the settings of the policy: what PPO's postprocessing is."""
    config = policy.config
    last_r = float(
        compute_bootstrap_value(sample_batch, policy)[SampleBatch.VALUES_BOOTSTRAPPED][-1]
    )
    use_gae = config.get("use_gae", True)
    return compute_advantages(
        sample_batch,
        last_r,
        config["gamma"],
        config["lambda_"] if use_gae else 1.0,
        use_gae,
        config.get("use_critic", True),
    )


def adjust_nstep(n_step: int, gamma: float, batch: SampleBatch) -> None:
    """Makes one trajectory's steps reach over n of them, in place: rewards are discounted sums, "new_obs" and ends
    are those after the n-th step (fewer at the end)."""
    count = batch.count
    last = np.minimum(np.arange(count) + n_step - 1, count - 1)
    rewards = np.asarray(batch[SampleBatch.REWARDS])
    total = rewards.astype(np.float64)
    for step in range(1, n_step):
        total[: count - step] += gamma**step * rewards[step:].astype(np.float64)
    batch[SampleBatch.REWARDS] = total.astype(rewards.dtype)
    for key in (SampleBatch.NEXT_OBS, SampleBatch.TERMINATEDS, SampleBatch.TRUNCATEDS):
        if key in batch:
            batch[key] = batch[key][last]
