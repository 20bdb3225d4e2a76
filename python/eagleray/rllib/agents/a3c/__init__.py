"""A3C and A2C by the names of Ray 1.x."""

from __future__ import annotations

from ...algorithms.a2c.a2c import A2C, A2CConfig
from ...algorithms.a3c.a3c import A3C, A3CConfig

__all__ = ["A2C", "A2CConfig", "A2CTrainer", "A3C", "A3CConfig", "A3CTrainer", "DEFAULT_CONFIG"]

A3CTrainer = A3C
A2CTrainer = A2C
DEFAULT_CONFIG = A3CConfig.from_dict({}).to_dict()
