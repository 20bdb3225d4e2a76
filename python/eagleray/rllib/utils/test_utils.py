"""Checks that tests and examples of Ray's programs use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = [
    "check",
    "check_compute_single_action",
    "check_learning_achieved",
    "check_train_results",
]


def check(
    x: Any,
    y: Any,
    decimals: int = 5,
    atol: float | None = None,
    rtol: float | None = None,
    false: bool = False,
) -> None:
    """AssertionError where two structures of numbers differ beyond `decimals` places (or atol, rtol); false=True:
    where they do not."""
    tolerance = 10.0**-decimals if atol is None and rtol is None else (atol or 0.0)
    alike = _alike(x, y, tolerance, rtol or 0.0)
    if alike is false:
        raise AssertionError(f"{x!r} is {'' if false else 'not '}as {y!r}")


def _alike(x: Any, y: Any, atol: float, rtol: float) -> bool:
    if isinstance(x, Mapping):
        return (
            isinstance(y, Mapping)
            and x.keys() == y.keys()
            and all(_alike(x[key], y[key], atol, rtol) for key in x)
        )
    if isinstance(x, list | tuple):
        return len(x) == len(y) and all(_alike(a, b, atol, rtol) for a, b in zip(x, y, strict=True))
    if x is None or isinstance(x, str | bool):
        return bool(x == y)
    x, y = (v.detach().cpu().numpy() if hasattr(v, "detach") else v for v in (x, y))
    return np.shape(x) == np.shape(y) and bool(
        np.allclose(np.asarray(x, float), np.asarray(y, float), atol=atol, rtol=rtol)
    )


def check_compute_single_action(
    algorithm: Any, include_state: bool = False, include_prev_action_reward: bool = False
) -> None:
    """AssertionError where an action for a random observation is not in the action space."""
    worker = algorithm.workers.local_worker()
    for name in worker.policy_map:
        observations, actions = worker.get_spaces()[name]
        for explore in (True, False):
            state = algorithm.get_policy(name).get_initial_state() if include_state else None
            action = algorithm.compute_single_action(
                observations.sample(), state, policy_id=name, explore=explore
            )
            action = action[0] if include_state else action
            if not actions.contains(action):
                raise AssertionError(f"the action {action!r} is not in {actions}")


def check_train_results(train_results: Mapping[str, Any]) -> Mapping[str, Any]:
    """AssertionError where a result lacks what all have."""
    for key in (
        "config",
        "episode_reward_mean",
        "episode_len_mean",
        "info",
        "time_this_iter_s",
        "timesteps_total",
        "training_iteration",
    ):
        if key not in train_results:
            raise AssertionError(f"the result has no {key!r}")
    for policy, stats in train_results["info"]["learner"].items():
        if "learner_stats" not in stats:
            raise AssertionError(f"info/learner/{policy} has no learner_stats")
    return train_results


def check_learning_achieved(
    tune_results: Any,
    min_value: float,
    evaluation: bool | None = None,
    metric: str = "env_runners/episode_return_mean",
) -> None:
    """ValueError: no trial of a Tune run has reached `min_value`."""
    prefix = "evaluation/" if evaluation else ""
    frame = tune_results.get_dataframe(metric=f"{prefix}{metric}", mode="max")
    best = float(frame[f"{prefix}{metric}"].max())
    if not best >= min_value:
        raise ValueError(f"`{metric}` of {min_value} was not reached: the best was {best}")
