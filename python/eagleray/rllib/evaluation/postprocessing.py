"""Advantages: generalised advantage estimation over fragments that may hold several episodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..policy.sample_batch import SampleBatch

__all__ = ["Postprocessing", "compute_advantages", "compute_gae", "discount_cumsum", "gae"]


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
