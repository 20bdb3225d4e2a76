"""`ray.air` of 2022, as far as Tune has it."""

from __future__ import annotations

from .. import _planned
from ..tune.checkpoint import Checkpoint
from ..tune.config import CheckpointConfig, FailureConfig, RunConfig
from ..tune.result_grid import Result
from . import session

__all__ = ["Checkpoint", "CheckpointConfig", "FailureConfig", "Result", "RunConfig", "session"]

__getattr__ = _planned.lazily(__name__)
