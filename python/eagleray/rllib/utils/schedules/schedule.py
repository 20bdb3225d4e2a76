"""Schedules by formula. `framework` is accepted, as in Ray, and changes nothing: values are plain numbers."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import Any

__all__ = [
    "ConstantSchedule",
    "ExponentialSchedule",
    "LinearSchedule",
    "PiecewiseSchedule",
    "PolynomialSchedule",
    "Schedule",
    "schedule_of",
]


class Schedule:
    """A subclass defines _value(t), t in time steps; value(t) and calling it give that."""

    def __init__(self, framework: Any = None) -> None:
        self.framework = framework

    def value(self, t: float) -> Any:
        """The value at time step `t`."""
        return self._value(t)

    def __call__(self, t: float) -> Any:
        return self.value(t)

    def _value(self, t: float) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _value()")


class ConstantSchedule(Schedule):
    """Always `value`."""

    def __init__(self, value: float, framework: Any = None) -> None:
        super().__init__(framework)
        self._constant = value

    def _value(self, t: float) -> float:
        return self._constant


class PolynomialSchedule(Schedule):
    """From initial_p to final_p in `schedule_timesteps`: final_p + (initial_p - final_p) * (1 - t/T) ** power."""

    def __init__(
        self,
        schedule_timesteps: int,
        final_p: float,
        framework: Any = None,
        initial_p: float = 1.0,
        power: float = 2.0,
    ) -> None:
        super().__init__(framework)
        if schedule_timesteps <= 0:
            raise ValueError(f"schedule_timesteps must be positive, not {schedule_timesteps}")
        self.schedule_timesteps = schedule_timesteps
        self.initial_p, self.final_p, self.power = initial_p, final_p, power

    def _value(self, t: float) -> float:
        left = 1.0 - min(t, self.schedule_timesteps) / self.schedule_timesteps
        return float(self.final_p + (self.initial_p - self.final_p) * left**self.power)


class LinearSchedule(PolynomialSchedule):
    """A PolynomialSchedule of power 1."""

    def __init__(
        self,
        schedule_timesteps: int,
        final_p: float,
        framework: Any = None,
        initial_p: float = 1.0,
    ) -> None:
        super().__init__(schedule_timesteps, final_p, framework, initial_p, power=1.0)


class ExponentialSchedule(Schedule):
    """initial_p * decay_rate ** (t / schedule_timesteps), without end."""

    def __init__(
        self,
        schedule_timesteps: int,
        framework: Any = None,
        initial_p: float = 1.0,
        decay_rate: float = 0.1,
    ) -> None:
        super().__init__(framework)
        if schedule_timesteps <= 0:
            raise ValueError(f"schedule_timesteps must be positive, not {schedule_timesteps}")
        self.schedule_timesteps = schedule_timesteps
        self.initial_p, self.decay_rate = initial_p, decay_rate

    def _value(self, t: float) -> float:
        return float(self.initial_p * self.decay_rate ** (t / self.schedule_timesteps))


def _between(left: float, right: float, share: float) -> float:
    return left + share * (right - left)


class PiecewiseSchedule(Schedule):
    """Through endpoints [(t, value), ...] with rising times. Outside of them: `outside_value`, or, where that is
    None, the last point's value."""

    def __init__(
        self,
        endpoints: Sequence[Sequence[float]],
        framework: Any = None,
        interpolation: Callable[[float, float, float], float] = _between,
        outside_value: float | None = None,
    ) -> None:
        super().__init__(framework)
        times = [float(t) for t, _ in endpoints]
        if not times or times != sorted(set(times)):
            raise ValueError(f"a schedule's time steps must rise: {endpoints}")
        self.endpoints = [(t, v) for t, v in endpoints]
        self.interpolation, self.outside_value = interpolation, outside_value
        self._times = times

    def _value(self, t: float) -> float:
        at = bisect.bisect_right(self._times, t)
        if 0 < at < len(self._times):
            (t0, v0), (t1, v1) = self.endpoints[at - 1 : at + 1]
            return float(self.interpolation(v0, v1, (t - t0) / (t1 - t0)))
        last: Any = self.endpoints[-1][1] if self.outside_value is None else self.outside_value
        return float(last)


def schedule_of(points: Any, constant: Any = None) -> Schedule:
    """The schedule of a configuration: `points` [[0, value], [t, value], ...], linear between and constant after
    the last, or a number; where it is None, `constant` (a number, or points, too). ValueError: points that do
    not begin at time step 0 or do not rise."""
    given = constant if points is None else points
    if given is None or isinstance(given, int | float):
        return ConstantSchedule(given)  # type: ignore[arg-type]
    if not given or float(given[0][0]) != 0:
        raise ValueError(f"a schedule begins at time step 0 and its steps rise: {given}")
    return PiecewiseSchedule(given)
