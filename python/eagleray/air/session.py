"""`session.report(metrics, checkpoint=)` and what else a running function may ask."""

from __future__ import annotations

from ..tune.session import (
    get_checkpoint,
    get_experiment_name,
    get_local_rank,
    get_trial_dir,
    get_trial_id,
    get_trial_name,
    get_trial_resources,
    get_world_rank,
    get_world_size,
    report,
)

__all__ = [
    "get_checkpoint",
    "get_experiment_name",
    "get_local_rank",
    "get_trial_dir",
    "get_trial_id",
    "get_trial_name",
    "get_trial_resources",
    "get_world_rank",
    "get_world_size",
    "report",
]
