"""Algorithms and their configurations, by name; each is imported when it is first asked for."""

from __future__ import annotations

from typing import Any

from ..utils.lazy import lazily
from .registry import ALGORITHMS, get_algorithm_class

__all__ = ["Algorithm", "AlgorithmConfig"]
_planned = lazily(__name__)


def __getattr__(name: str) -> Any:
    if name == "Algorithm":
        from .algorithm import Algorithm

        return Algorithm
    if name == "AlgorithmConfig":
        from .algorithm_config import AlgorithmConfig

        return AlgorithmConfig
    plain = name.removesuffix("Config")
    if plain in ALGORITHMS:
        found = get_algorithm_class(plain)
        return found._config_class if name.endswith("Config") else found
    return _planned(name)
