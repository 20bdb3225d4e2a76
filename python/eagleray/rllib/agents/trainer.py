"""Trainer and the dict of common settings, by the names of Ray 1.x."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..algorithms.algorithm import Algorithm
from ..algorithms.algorithm_config import AlgorithmConfig
from ..algorithms.config_tables import CLASSIC_DEFAULTS
from ..utils.dicts import merge_dicts

__all__ = ["COMMON_CONFIG", "Trainer", "with_base_config", "with_common_config"]

Trainer = Algorithm
COMMON_CONFIG: dict[str, Any] = {**AlgorithmConfig().to_dict(), **CLASSIC_DEFAULTS}


def with_common_config(extra_config: Mapping[str, Any]) -> dict[str, Any]:
    """COMMON_CONFIG with further settings."""
    return merge_dicts(COMMON_CONFIG, extra_config)


def with_base_config(
    base_config: Mapping[str, Any], extra_config: Mapping[str, Any]
) -> dict[str, Any]:
    """`base_config` with further settings."""
    return merge_dicts(base_config, extra_config)
