"""Experiments and trials. Follows `ray.tune.experiment`."""

from __future__ import annotations

from .experiment import Experiment
from .trial import Trial

__all__ = ["Experiment", "Trial"]
