"""PG by the names of Ray 1.x."""

from __future__ import annotations

from ...algorithms.pg.pg import PG, PGConfig
from ...utils.lazy import lazily

__all__ = ["DEFAULT_CONFIG", "PG", "PGConfig", "PGTrainer"]

PGTrainer = PG
DEFAULT_CONFIG = PGConfig.from_dict({}).to_dict()


__getattr__ = lazily(__name__)  # names that are planned
