"""WindowStat: statistics of the last n numbers."""

from __future__ import annotations

from collections import deque

import numpy as np

__all__ = ["WindowStat"]


class WindowStat:
    """push() adds a number; stats() names mean, deviation and quantiles of the last `n`."""

    def __init__(self, name: str, n: int) -> None:
        self.name = name
        self.items: deque[float] = deque(maxlen=n)
        self.count = 0

    def push(self, obj: float) -> None:
        self.items.append(obj)
        self.count += 1

    def mean(self) -> float:
        return float(np.mean(self.items)) if self.items else float("nan")

    def std(self) -> float:
        return float(np.std(self.items)) if self.items else float("nan")

    def quantiles(self) -> list[float]:
        """Least, 10 %, median, 90 % and greatest."""
        return list(np.percentile(self.items, [0, 10, 50, 90, 100])) if self.items else []

    def stats(self) -> dict[str, object]:
        return {
            f"{self.name}_count": self.count,
            f"{self.name}_mean": self.mean(),
            f"{self.name}_std": self.std(),
            f"{self.name}_quantiles": self.quantiles(),
        }
