"""Searches with BOHB's model. Follows `ray.tune.search.bohb.TuneBOHB`; to be used with the scheduler HyperBandForBOHB."""

from __future__ import annotations

from typing import Any

from ..sample import Categorical, Integer
from ..space_searcher import SpaceSearcher, need, rounded, shape_of


class TuneBOHB(SpaceSearcher):
    """Suggests by kernel densities of good and bad results, of the longest runs that there are enough of.

    space: tune's language, or a ConfigSpace. bohb_config: for the model (`min_points_in_model`, ...). seed: of the
    space. max_concurrent: so many trials that run at a time, those that wait not counted; 0: no limit. ImportError: no
    hpbandster or ConfigSpace.
    """

    def __init__(
        self,
        space: Any = None,
        bohb_config: dict[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        seed: int | None = None,
        max_concurrent: int = 0,
    ) -> None:
        need("ConfigSpace", "ConfigSpace", "TuneBOHB")
        need("hpbandster", "hpbandster", "TuneBOHB")
        super().__init__(space, metric, mode, points_to_evaluate)
        self._options, self._seed, self._max = dict(bohb_config or {}), seed, max_concurrent
        self._model: Any = None
        self._values: dict[str, dict[str, Any]] = {}
        self._running: set[str] = set()
        self._waiting: set[str] = set()

    def _begin(self) -> None:
        bohb = need("hpbandster.optimizers.config_generators.bohb", "hpbandster", "TuneBOHB")
        space = self._space
        if isinstance(space, dict):
            kinds = need("ConfigSpace", "ConfigSpace", "TuneBOHB")
            space = kinds.ConfigurationSpace(seed=self._seed)
            for name, (_, one) in self.domains().items():
                add = getattr(space, "add", None) or space.add_hyperparameter
                add(_parameter(kinds, name, one))
        self._model = bohb.BOHB(space, **self._options)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        self._max = max_concurrent
        return True

    def suggest(self, trial_id: str) -> Any:
        self.begin()
        if self._max and len(self._running) >= self._max:
            return None
        if self._points:
            values = self.values_in(self._points.pop(0))
        else:
            values, _ = self._model.get_config(None)
        self._values[trial_id] = dict(values)
        self._running.add(trial_id)
        if not isinstance(self._space, dict):
            return dict(values)
        return self.config_of(
            {
                name: values[name] if isinstance(one, Categorical) else rounded(one, values[name])
                for name, (_, one) in self.domains().items()
            }
        )

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Teaches the model the results at milestones: those of trials that wait there, and of those that go on."""
        budget, loss = result.get("hyperband_info", {}).get("budget"), self.loss_of(result)
        if budget is not None and loss is not None and trial_id in self._values:
            self._model.new_result(_Job(self._values[trial_id], float(budget), loss))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self._values.pop(trial_id, None)
        self._running.discard(trial_id)
        self._waiting.discard(trial_id)

    def on_pause(self, trial_id: str) -> None:
        """A trial waits at a milestone: another may run."""
        self._waiting.add(trial_id)
        self._running.discard(trial_id)

    def on_unpause(self, trial_id: str) -> None:
        self._waiting.discard(trial_id)
        self._running.add(trial_id)

    def get_state(self) -> dict[str, Any]:
        names = ("_model", "_values", "_running", "_waiting", "_points", "_begun")
        return {name: getattr(self, name) for name in names}


class _Job:
    """A result as hpbandster's model takes it."""

    def __init__(self, config: dict[str, Any], budget: float, loss: float) -> None:
        self.id = 0
        self.kwargs = {"budget": budget, "config": config}
        self.result = {"loss": loss}
        self.exception = None


def _parameter(kinds: Any, name: str, domain: Any) -> Any:
    if isinstance(domain, Categorical):
        return kinds.CategoricalHyperparameter(name, choices=list(domain.categories))
    log, q, normal = shape_of(domain)
    if normal is not None:
        raise ValueError(f"TuneBOHB needs bounds, which {domain} ({name}) has not")
    if isinstance(domain, Integer):
        upper = int(domain.upper) if q else int(domain.upper) - 1
        return kinds.UniformIntegerHyperparameter(name, int(domain.lower), upper, log=log)
    return kinds.UniformFloatHyperparameter(name, domain.lower, domain.upper, log=log)
