"""MARWIL and BC by the names of Ray 1.x."""

from __future__ import annotations

from ...algorithms.bc.bc import BC, BCConfig
from ...algorithms.marwil.marwil import MARWIL, MARWILConfig
from ...utils.lazy import lazily

__all__ = [
    "BC",
    "BCConfig",
    "BCTrainer",
    "DEFAULT_CONFIG",
    "MARWIL",
    "MARWILConfig",
    "MARWILTrainer",
]

MARWILTrainer = MARWIL
BCTrainer = BC
DEFAULT_CONFIG = MARWILConfig.from_dict({}).to_dict()


__getattr__ = lazily(__name__)  # names that are planned
