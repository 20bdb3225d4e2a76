"""Algorithms and their configurations, by name; each is imported when it is first asked for."""

from __future__ import annotations

from typing import Any

from .registry import ALGORITHMS, LATER, get_algorithm_class

__all__ = ["Algorithm", "AlgorithmConfig"]


def __getattr__(name: str) -> Any:
    if name == "Algorithm":
        from .algorithm import Algorithm

        return Algorithm
    if name == "AlgorithmConfig":
        from .algorithm_config import AlgorithmConfig

        return AlgorithmConfig
    plain = name.removesuffix("Config")
    if plain in ALGORITHMS or plain in LATER:
        found = get_algorithm_class(plain)
        return found._config_class if name.endswith("Config") else found
    raise AttributeError(f"module 'eagleray.rllib.algorithms' has no attribute {name!r}")
