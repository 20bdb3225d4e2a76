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
