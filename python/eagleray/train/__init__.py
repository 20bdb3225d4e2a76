"""`ray.train`, as far as Tune has it: configs, checkpoints, report(). Trainers come later and raise
NotImplementedError by name."""

from __future__ import annotations

from typing import Any

from ..tune.checkpoint import Checkpoint
from ..tune.config import CheckpointConfig, FailureConfig, RunConfig, SyncConfig
from ..tune.result_grid import Result
from ..tune.session import get_checkpoint, get_context, report

TRAIN_DATASET_KEY = "train"  # of the dataset that trainers train on

__all__ = [
    "TRAIN_DATASET_KEY",
    "Checkpoint",
    "CheckpointConfig",
    "FailureConfig",
    "Result",
    "RunConfig",
    "SyncConfig",
    "get_checkpoint",
    "get_context",
    "report",
]


def __getattr__(name: str) -> Any:
    from .. import _planned

    if name.startswith("_"):
        raise AttributeError(f"module 'eagleray.train' has no attribute {name!r}")
    return _planned.find("train", name)
