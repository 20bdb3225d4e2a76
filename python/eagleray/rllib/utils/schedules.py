"""Values that change with time steps: `[[step, value], ...]`, linear between, constant after the last."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Schedule"]


class Schedule:
    """value(t) of a number, or of points [[t0, v0], [t1, v1], ...] with t0 == 0 and rising times."""

    def __init__(self, points: Any, constant: float | None = None) -> None:
        if points is None:
            points = constant
        if isinstance(points, int | float):
            points = [[0, points]]
        self._times = [float(t) for t, _ in points]
        self._values = [float(v) for _, v in points]
        if self._times[0] != 0 or self._times != sorted(set(self._times)):
            raise ValueError(f"a schedule begins at time step 0 and its steps rise: {points}")

    def value(self, timestep: float) -> float:
        return float(np.interp(timestep, self._times, self._values))
