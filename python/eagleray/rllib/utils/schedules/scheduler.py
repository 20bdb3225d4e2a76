"""Scheduler: a setting that is a number or a list of points, with its present value."""

from __future__ import annotations

from typing import Any

from .schedule import schedule_of

__all__ = ["Scheduler"]


class Scheduler:
    """fixed_value_or_schedule: a number, or [[0, value], [t, value], ...]."""

    def __init__(
        self, fixed_value_or_schedule: Any, *, framework: str = "torch", device: Any = None
    ) -> None:
        self.framework = framework
        self.use_schedule = not isinstance(fixed_value_or_schedule, int | float)
        self._schedule = schedule_of(fixed_value_or_schedule)
        self._value = self._schedule.value(0)

    @staticmethod
    def validate(
        *, fixed_value_or_schedule: Any, setting_name: str, description: str = "value"
    ) -> None:
        """ValueError: it is neither a number nor at least two points that begin at time step 0."""
        given = fixed_value_or_schedule
        if given is None or isinstance(given, int | float):
            return
        if not isinstance(given, list | tuple) or len(given) < 2:
            raise ValueError(
                f"{setting_name} must be a number or a list of at least two [time step, {description}], not {given!r}"
            )
        if any(len(pair) != 2 for pair in given) or given[0][0] != 0:
            raise ValueError(
                f"{setting_name} must have [time step, {description}] pairs, the first at 0, not {given!r}"
            )

    def get_current_value(self) -> float:
        return float(self._value)

    def update(self, timestep: int) -> float:
        """Moves to a time step; the value there."""
        self._value = self._schedule.value(timestep)
        return float(self._value)
