"""ES by the names of Ray 1.x."""

from __future__ import annotations

from ...algorithms.es.es import ES, ESConfig
from ...utils.lazy import lazily

__all__ = ["DEFAULT_CONFIG", "ES", "ESConfig", "ESTrainer"]

ESTrainer = ES
DEFAULT_CONFIG = ESConfig.from_dict({}).to_dict()


__getattr__ = lazily(__name__)  # names that are planned
