"""Repeated: lists of 0 to `max_len` values of one space."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

__all__ = ["Repeated"]


class Repeated(gymnasium.Space[Any]):
    """Nets get `max_len` places, the empty ones zero, behind the number of those that are used."""

    def __init__(self, child_space: Any, max_len: int) -> None:
        super().__init__()
        self.child_space, self.max_len = child_space, max_len

    def sample(self, mask: Any = None, probability: Any = None) -> Any:
        count = int(self.np_random.integers(1, self.max_len + 1))
        return [self.child_space.sample() for _ in range(count)]

    def contains(self, x: Any) -> bool:
        return (
            isinstance(x, list | np.ndarray)
            and len(x) <= self.max_len
            and all(self.child_space.contains(part) for part in x)
        )

    def __repr__(self) -> str:
        return f"Repeated({self.child_space}, {self.max_len})"
