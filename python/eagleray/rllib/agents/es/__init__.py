"""ES by the names of Ray 1.x."""

from __future__ import annotations

from ...algorithms.es.es import ES, ESConfig

__all__ = ["DEFAULT_CONFIG", "ES", "ESConfig", "ESTrainer"]

ESTrainer = ES
DEFAULT_CONFIG = ESConfig.from_dict({}).to_dict()
