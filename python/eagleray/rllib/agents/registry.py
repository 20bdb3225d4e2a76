"""Classes of trainers by name."""

from __future__ import annotations

from ..algorithms.registry import get_algorithm_class

__all__ = ["get_agent_class", "get_trainer_class"]

get_trainer_class = get_agent_class = get_algorithm_class
