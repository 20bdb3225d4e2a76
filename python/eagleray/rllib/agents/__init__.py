"""The names of Ray 1.x: agents and trainers."""

from __future__ import annotations

from ..algorithms.callbacks import DefaultCallbacks
from ..utils.lazy import lazily
from .trainer import Trainer, with_common_config

__all__ = ["DefaultCallbacks", "Trainer", "with_common_config"]


__getattr__ = lazily(__name__)  # names that are planned
