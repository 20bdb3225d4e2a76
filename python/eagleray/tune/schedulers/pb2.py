"""Population based bandits (Parker-Holder et al., 2020). Follows `ray.tune.schedulers.pb2.PB2`.

As population based training, but new settings are not drawn: a Gaussian process of how much the metric has gained, over
time and settings, chooses those with the highest upper confidence bound.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from ..search.sample import Float
from ..search.variant_generator import copy_config
from ..utils.flatten import lookup
from .pbt import PopulationBasedTraining

OBSERVATIONS_MAX = 300  # the process looks at the latest
RUNNING_MAX = 64  # trials that run, at whose settings it trusts itself more
CANDIDATES = 500  # settings of which the best is taken


class PB2(PopulationBasedTraining):
    """Its arguments are PopulationBasedTraining's, but for what may be changed.

    hyperparam_bounds: `{"lr": [1e-4, 1e-1]}`, lowest and highest value; a setting that is whole in the config stays
    whole. ImportError: no numpy. ValueError: no bounds.
    """

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        hyperparam_bounds: dict[str, Any] | None = None,
        quantile_fraction: float = 0.25,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
        custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        try:
            import numpy  # noqa: F401
        except ImportError as error:
            raise ImportError("PB2 needs the package numpy: pip install numpy") from error
        if not hyperparam_bounds:
            raise ValueError("PB2 needs hyperparam_bounds: {'lr': [lowest, highest]}")
        for key, bounds in hyperparam_bounds.items():
            if not isinstance(bounds, (list, tuple)) or len(bounds) != 2 or bounds[0] > bounds[1]:
                raise ValueError(
                    f"hyperparam_bounds: {key!r} must be [lowest, highest], not {bounds!r}"
                )
        super().__init__(
            time_attr,
            metric,
            mode,
            perturbation_interval,
            hyperparam_mutations={
                key: Float(*bounds).uniform() for key, bounds in hyperparam_bounds.items()
            },
            quantile_fraction=quantile_fraction,
            resample_probability=0,
            custom_explore_fn=custom_explore_fn,
            log_config=log_config,
            require_attrs=require_attrs,
            synch=synch,
        )
        self._bounds = {key: tuple(map(float, value)) for key, value in hyperparam_bounds.items()}
        self._before: dict[str, tuple[float, float]] = {}  # time and score, by trial
        self._observed: list[tuple[float, list[float], float]] = []  # time, settings, gain

    def observe(self, trial: Any, time: float, score: float) -> None:
        before = self._before.get(trial.trial_id)
        self._before[trial.trial_id] = (time, score)
        if before is None or time <= before[0] or not math.isfinite(score - before[1]):
            return
        settings = self._scaled(trial.config)
        self._observed.append((time, settings, (score - before[1]) / (time - before[0])))
        del self._observed[:-OBSERVATIONS_MAX]

    def _scaled(self, config: dict[str, Any]) -> list[float]:
        """The settings of a config, each from 0 to 1 between its bounds."""
        return [
            (float(lookup(config, key)) - low) / ((high - low) or 1.0)
            for key, (low, high) in self._bounds.items()
        ]

    def new_config(self, trial: Any, donor: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        made = copy_config(donor.config)
        others = [
            one for one in self._trials.values() if one is not trial and one.status == one.RUNNING
        ]
        running = [self._scaled(one.config) for one in others[:RUNNING_MAX]]
        chosen = best_settings(self._observed, running, len(self._bounds))
        done = {}
        for share, (key, (low, high)) in zip(chosen, self._bounds.items(), strict=True):
            value = low + share * (high - low)
            whole = isinstance(donor.config.get(key), int)
            made[key], done[key] = (round(value) if whole else value), "chosen"
        self._before.pop(trial.trial_id, None)  # its score jumps: that is no gain of its settings
        if self._custom is not None:
            made = self._custom(made)
            if not isinstance(made, dict):
                raise ValueError(f"custom_explore_fn must return a config, not {made!r}")
        return made, done

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "_before": self._before, "_observed": self._observed}


def best_settings(
    observed: list[tuple[float, list[float], float]], running: list[list[float]], count: int
) -> list[float]:
    """The settings (each 0 to 1) with the highest upper confidence bound of the gain at the latest time.

    running: settings that are being tried: where they are, the bound is lowered, so that not all trials try the same.
    """
    import numpy

    draw = numpy.random.default_rng(random.randrange(2**32))
    candidates = draw.random((CANDIDATES, count))
    if len(observed) < 2:
        return [float(value) for value in candidates[0]]
    times = numpy.array([one[0] for one in observed])
    points = numpy.array([one[1] for one in observed])
    gains = numpy.array([one[2] for one in observed])
    gains = (gains - gains.mean()) / (gains.std() or 1.0)
    span = (times.max() - times.min()) or 1.0
    times = (times - times.min()) / span
    length, forget = _fitted(numpy, times, points, gains)
    latest = numpy.full(len(candidates), times.max())
    mean, _ = _predicted(numpy, times, points, gains, latest, candidates, length, forget)
    if running:  # as if they had come out as expected: of the variance only where they are counts
        points = numpy.vstack([points, running])
        times = numpy.append(times, numpy.full(len(running), times.max()))
        gains = numpy.append(gains, numpy.zeros(len(running)))
    _, variance = _predicted(numpy, times, points, gains, latest, candidates, length, forget)
    trust = 0.2 + math.log(0.4 * max(len(observed), 3))
    bound = mean + numpy.sqrt(max(trust, 0.1) * variance)
    return [float(value) for value in candidates[int(bound.argmax())]]


NOISE = 0.05  # variance of a gain that is no effect of time or settings, after scaling


def _kernel(numpy: Any, t1: Any, x1: Any, t2: Any, x2: Any, length: float, forget: float) -> Any:
    """How much two gains have in common: less for far settings, and for far times."""
    squares = ((x1[:, None, :] - x2[None, :, :]) ** 2).sum(-1)
    apart = numpy.abs(t1[:, None] - t2[None, :])
    return numpy.exp(-squares / (2 * length**2)) * (1 - forget) ** (apart * 5)


def _fitted(numpy: Any, times: Any, points: Any, gains: Any) -> tuple[float, float]:
    """The length scale and the forgetting that make what was observed most likely."""
    best, chosen = -math.inf, (0.5, 0.1)
    recent = slice(-100, None)  # enough to tell, and quick
    t, x, y = times[recent], points[recent], gains[recent]
    for length in (0.1, 0.2, 0.5, 1.0, 2.0):
        for forget in (0.0, 0.1, 0.3, 0.6):
            covariance = _kernel(numpy, t, x, t, x, length, forget) + NOISE * numpy.eye(len(t))
            root = numpy.linalg.cholesky(covariance)
            half = numpy.linalg.solve(root, y)
            likelihood = -0.5 * half @ half - numpy.log(numpy.diag(root)).sum()
            if likelihood > best:
                best, chosen = float(likelihood), (length, forget)
    return chosen


def _predicted(
    numpy: Any,
    times: Any,
    points: Any,
    gains: Any,
    at: Any,
    where: Any,
    length: float,
    forget: float,
) -> tuple[Any, Any]:
    """Mean and variance of the gain."""
    covariance = _kernel(numpy, times, points, times, points, length, forget)
    root = numpy.linalg.cholesky(covariance + NOISE * numpy.eye(len(times)))
    cross = numpy.linalg.solve(root, _kernel(numpy, times, points, at, where, length, forget))
    mean = cross.T @ numpy.linalg.solve(root, gains)
    return mean, numpy.maximum(1.0 - (cross**2).sum(0), 0.0)
