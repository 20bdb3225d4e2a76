"""What the schedulers that compare results have in common: the metric, the time, and which of two results is better."""

from __future__ import annotations

import math
from typing import Any

from ..utils.flatten import lookup
from .trial_scheduler import FIFOScheduler

WORST = -math.inf


class MetricScheduler(FIFOScheduler):
    """Trials start in order; subclasses decide about each result by its score.

    time_attr: the field of a result that grows with the work done (iterations, seconds, samples). metric, mode: what
    is compared, and whether "min" or "max" of it is better; None: what the experiment says. ValueError: another mode.
    """

    def __init__(self, time_attr: str, metric: str | None, mode: str | None) -> None:
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', not {mode!r}")
        self._time_attr, self._metric, self._mode = time_attr, metric, mode

    @property
    def mode(self) -> str | None:
        return self._mode

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        if (self._metric and metric) or (self._mode and mode):
            return False
        self._metric, self._mode = self._metric or metric, self._mode or mode
        return True

    def require_metric(self) -> None:
        """ValueError where nobody has said what is compared."""
        if not self._metric or not self._mode:
            raise ValueError(
                f"{type(self).__name__} has no metric ({self._metric!r}) or no mode ({self._mode!r}): give them to it, "
                "or to tune.run() or TuneConfig"
            )

    def time_of(self, result: dict[str, Any]) -> Any:
        """How far a result is; None: it does not say."""
        return lookup(result, self._time_attr)

    def score_of(self, result: dict[str, Any]) -> float | None:
        """Higher is better, whatever the mode. NaN is the worst there is. None: the result lacks the metric."""
        value = lookup(result, self._metric or "")
        if value is None:
            return None
        score = float(value) if self._mode == "max" else -float(value)
        return WORST if math.isnan(score) else score
