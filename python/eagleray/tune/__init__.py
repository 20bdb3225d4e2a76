"""eagleray.tune: many trials of one program, with different settings, the best of which is wanted.

    from eagleray import tune

    def train(config):
        for step in range(10):
            tune.report(loss=(config["x"] - 3) ** 2 / (step + 1))

    analysis = tune.run(train, config={"x": tune.grid_search([1, 2, 3])}, metric="loss", mode="min")
    print(analysis.best_config)

The surface is Ray's (`ray.tune`), in the spellings of 2020, 2022 and today. It stands on eagleray's public API only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import Checkpoint
    from .execution.placement_groups import PlacementGroupFactory
    from .registry import register_env, register_trainable
    from .session import get_checkpoint, get_context, report
    from .trainable import Trainable, with_parameters, with_resources

_LAZY = {
    "Checkpoint": ".checkpoint",
    "PlacementGroupFactory": ".execution.placement_groups",
    "Trainable": ".trainable",
    "checkpoint_dir": ".session",
    "get_checkpoint": ".session",
    "get_context": ".session",
    "get_trial_dir": ".session",
    "get_trial_id": ".session",
    "get_trial_name": ".session",
    "get_trial_resources": ".session",
    "is_session_enabled": ".session",
    "register_env": ".registry",
    "register_trainable": ".registry",
    "report": ".session",
    "with_parameters": ".trainable",
    "with_resources": ".trainable",
}

__all__ = [
    "Checkpoint",
    "PlacementGroupFactory",
    "Trainable",
    "checkpoint_dir",
    "get_checkpoint",
    "get_context",
    "get_trial_dir",
    "get_trial_id",
    "get_trial_name",
    "get_trial_resources",
    "is_session_enabled",
    "register_env",
    "register_trainable",
    "report",
    "with_parameters",
    "with_resources",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'eagleray.tune' has no attribute {name!r}")
