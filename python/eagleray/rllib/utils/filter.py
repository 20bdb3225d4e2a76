"""Filters of observations: running mean and deviation, kept alike in all rollout workers.

Each worker normalises with what all of them knew at the last synchronisation and collects its own
observations apart (`delta`); the algorithm adds the deltas, in the order of the workers, and sends the sum
back. So the result does not depend on who was faster.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..utils.lazy import lazily

__all__ = [
    "ConcurrentMeanStdFilter",
    "Filter",
    "MeanStdFilter",
    "NoFilter",
    "RunningStat",
    "get_filter",
]


class RunningStat:
    """Count, mean and sum of squared deviations of arrays, mergeable (Chan, Golub, LeVeque)."""

    def __init__(self, shape: tuple[int, ...] = ()) -> None:
        self.num = 0
        self.mean_array = np.zeros(shape, np.float64)
        self.sum_squares = np.zeros(shape, np.float64)

    def push(self, rows: Any) -> None:
        """Adds rows [n, *shape]."""
        rows = np.asarray(rows, np.float64)
        count = len(rows)
        if count:
            mean = rows.mean(axis=0)
            self._add(count, mean, np.square(rows - mean).sum(axis=0))

    def update(self, other: RunningStat) -> None:
        """Adds all that another one has seen."""
        if other.num:
            self._add(other.num, other.mean_array, other.sum_squares)

    def _add(self, count: int, mean: Any, squares: Any) -> None:
        total = self.num + count
        delta = mean - self.mean_array
        self.mean_array = self.mean_array + delta * (count / total)
        self.sum_squares = (
            self.sum_squares + squares + np.square(delta) * (self.num * count / total)
        )
        self.num = total

    @property
    def mean(self) -> Any:
        return self.mean_array

    @property
    def var(self) -> Any:
        """Unbiased; the square of the mean while there is one row only, as in Ray."""
        return self.sum_squares / (self.num - 1) if self.num > 1 else np.square(self.mean_array)

    @property
    def std(self) -> Any:
        return np.sqrt(self.var)

    def copy(self) -> RunningStat:
        made = RunningStat()
        made.num, made.mean_array = self.num, self.mean_array.copy()
        made.sum_squares = self.sum_squares.copy()
        return made

    def to_state(self) -> dict[str, Any]:
        return {"num": self.num, "mean": self.mean_array, "squares": self.sum_squares}

    @staticmethod
    def from_state(state: dict[str, Any]) -> RunningStat:
        made = RunningStat()
        made.num = int(state["num"])
        made.mean_array = np.array(state["mean"], np.float64)
        made.sum_squares = np.array(state["squares"], np.float64)
        return made


class NoFilter:
    """Leaves observations as they are."""

    is_filter = False

    def __call__(self, rows: Any, update: bool = True) -> Any:
        return rows

    def take_delta(self) -> RunningStat | None:
        return None

    def add(self, delta: RunningStat | None) -> None:
        pass

    def get_state(self) -> dict[str, Any] | None:
        return None

    def set_state(self, state: dict[str, Any] | None) -> None:
        pass


class MeanStdFilter(NoFilter):
    """(x - mean) / (deviation + 1e-8), clipped to +-10, over rows [n, *shape]."""

    is_filter = True
    CLIP = 10.0

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.stat = RunningStat(shape)
        self.delta = RunningStat(shape)

    def __call__(self, rows: Any, update: bool = True) -> Any:
        if update:
            self.delta.push(rows)
        if self.stat.num == 0:  # the first fragment has nothing but itself
            known = self.delta
            if known.num == 0:
                return np.asarray(rows, np.float32)
        else:
            known = self.stat
        scaled = (np.asarray(rows, np.float64) - known.mean) / (known.std + 1e-8)
        return np.clip(scaled, -self.CLIP, self.CLIP).astype(np.float32)

    def take_delta(self) -> RunningStat:
        """What was seen since the last call; it begins anew."""
        taken, self.delta = self.delta, RunningStat(self.shape)
        return taken

    def add(self, delta: RunningStat | None) -> None:
        """Adds a worker's delta to what all know."""
        if delta is not None:
            self.stat.update(delta)

    def get_state(self) -> dict[str, Any]:
        return self.stat.to_state()

    def set_state(self, state: dict[str, Any] | None) -> None:
        if state is not None:
            self.stat = RunningStat.from_state(state)


Filter = NoFilter
ConcurrentMeanStdFilter = MeanStdFilter


def get_filter(name: str | None, shape: tuple[int, ...]) -> NoFilter:
    """The filter that `observation_filter` names; validated before."""
    return NoFilter() if name in (None, "NoFilter") else MeanStdFilter(shape)


__getattr__ = lazily(__name__)  # names that are planned
