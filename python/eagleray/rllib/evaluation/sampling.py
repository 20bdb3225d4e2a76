"""What the samplers of one and of several agents have in common."""

from __future__ import annotations

from typing import Any

import numpy as np

from .episode import Episode


def tell(worker: Any, hook: str, episode: Episode, index: int, **more: Any) -> None:
    """Calls a hook of the call-backs with the worker's things and those of one of its environments."""
    worker.callbacks(
        hook,
        worker=worker,
        env_runner=worker,
        base_env=worker.base_env,
        env=worker.base_env,
        policies=worker.policy_map,
        episode=episode,
        env_index=index,
        metrics_logger=worker.metrics,
        **more,
    )


def clipped(rewards: Any, clip: Any) -> Any:
    """Rewards as `clip_rewards` has them: their signs where it is True, within +-clip for a number, else as they are."""
    if not clip:
        return rewards
    return np.sign(rewards) if clip is True else np.clip(rewards, -abs(clip), abs(clip))


def learns_filters(config: Any) -> bool:
    """Whether what is seen changes the filters' statistics: not in evaluation."""
    return bool(config["update_worker_filter_stats"]) and not config["in_evaluation"]


def as_number(reward: Any) -> float:
    """A reward as an environment gives it: a number, or an array of one. ValueError: more than one."""
    if isinstance(reward, np.ndarray) and reward.ndim:
        if reward.size != 1:
            raise ValueError(f"a reward must be one number, not an array of shape {reward.shape}")
        return float(reward.reshape(-1)[0])
    return float(reward)


def check_finite(name: str, column: Any, worker: Any) -> None:
    """ValueError that names the environment whose observations or rewards [steps, envs, ...] hold NaN or infinity:
    a net that learns from them is lost, and nobody would know why."""
    if column.dtype.kind != "f" or np.isfinite(column).all():
        return
    step, index = (int(at[0]) for at in np.nonzero(~np.isfinite(column))[:2])
    what = "a reward" if name == "rewards" else "an observation"
    raise ValueError(
        f"environment {worker.name_of(index)} has given {what} with NaN or infinity: {column[step, index]}"
    )
