"""ARS by the names of Ray 1.x."""

from __future__ import annotations

from ...algorithms.ars.ars import ARS, ARSConfig
from ...utils.lazy import lazily

__all__ = ["ARS", "ARSConfig", "ARSTrainer", "DEFAULT_CONFIG"]

ARSTrainer = ARS
DEFAULT_CONFIG = ARSConfig.from_dict({}).to_dict()


__getattr__ = lazily(__name__)  # names that are planned
