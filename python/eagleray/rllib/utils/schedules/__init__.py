"""Values that change with time steps: learning rates, coefficients of entropy, shares of random actions."""

from __future__ import annotations

from .schedule import (
    ConstantSchedule,
    ExponentialSchedule,
    LinearSchedule,
    PiecewiseSchedule,
    PolynomialSchedule,
    Schedule,
    schedule_of,
)
from .scheduler import Scheduler

__all__ = [
    "ConstantSchedule",
    "ExponentialSchedule",
    "LinearSchedule",
    "PiecewiseSchedule",
    "PolynomialSchedule",
    "Schedule",
    "Scheduler",
    "schedule_of",
]
