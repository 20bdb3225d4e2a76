"""RLModule and its specs; importing them does not import torch."""

from __future__ import annotations

from ...utils.lazy import lazily
from .default_model_config import DefaultModelConfig
from .rl_module import RLModule, RLModuleSpec

__all__ = ["DefaultModelConfig", "RLModule", "RLModuleSpec"]


__getattr__ = lazily(__name__)  # names that are planned
