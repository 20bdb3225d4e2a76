"""Searches with a Gaussian process (bayesian-optimization). Follows `ray.tune.search.bayesopt.BayesOptSearch`."""

from __future__ import annotations

import inspect
from typing import Any

from ..sample import Float
from ..space_searcher import SpaceSearcher, name_of, need, refuse_grids, shape_of
from ..variant_generator import unresolved


class BayesOptSearch(SpaceSearcher):
    """Suggests by an upper confidence bound. All settings are numbers between bounds.

    space: `{"x": (low, high)}` or tune.uniform(); of other domains only the bounds are used, with a ValueError for
    those that have none. utility_kwargs: `{"kind": "ucb", "kappa": 2.576, "xi": 0.0}`. random_search_steps: so many
    are random first. skip_duplicate, patience: a config that was suggested is not suggested again, up to so many tries
    (then the search is over). analysis: an earlier experiment whose trials are told first. ImportError: no
    bayesian-optimization.
    """

    def __init__(
        self,
        space: dict[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        utility_kwargs: dict[str, Any] | None = None,
        random_state: int = 42,
        random_search_steps: int = 10,
        verbose: int = 0,
        patience: int = 5,
        skip_duplicate: bool = True,
        analysis: Any = None,
    ) -> None:
        need("bayes_opt", "bayesian-optimization", "BayesOptSearch")
        if space:
            space = {
                key: Float(*value).uniform()
                if isinstance(value, (tuple, list)) and len(value) == 2
                else value
                for key, value in space.items()
            }
        super().__init__(space, metric, mode, points_to_evaluate)
        if patience <= 0:
            raise ValueError(f"patience must be positive, not {patience}")
        self._utility = utility_kwargs or {"kind": "ucb", "kappa": 2.576, "xi": 0.0}
        self._seed, self._steps, self._verbose = random_state, random_search_steps, verbose
        self._patience, self._skip, self._analysis = patience, skip_duplicate, analysis
        self._asked: dict[str, dict[str, float]] = {}
        self._seen: set[tuple[float, ...]] = set()
        self._given = 0

    @staticmethod
    def convert_search_space(spec: dict[str, Any], join: bool = False) -> dict[str, Any]:
        """Bounds by name. ValueError: what is no number between bounds."""
        refuse_grids(spec, "BayesOptSearch")
        found: dict[str, Any] = {}
        for path, domain in unresolved(spec):
            if not isinstance(domain, Float) or shape_of(domain)[2] is not None:
                raise ValueError(
                    f"BayesOptSearch searches numbers between bounds (tune.uniform), not {domain} ({name_of(path)})"
                )
            found[name_of(path)] = (domain.lower, domain.upper)
        return {**spec, **found} if join else found

    def _begin(self) -> None:
        bayes_opt = need("bayes_opt", "bayesian-optimization", "BayesOptSearch")
        import numpy

        bounds = self.convert_search_space(self._space)
        options: dict[str, Any] = {"f": None, "pbounds": bounds, "random_state": self._seed}
        # Up to 1.5 the acquisition function is an argument of suggest(), from 2.0 on of the optimizer.
        self._function: Any = None
        if hasattr(bayes_opt, "UtilityFunction"):
            self._function = bayes_opt.UtilityFunction(**self._utility)
        else:
            options["acquisition_function"] = _acquisition(bayes_opt, self._utility, self._seed)
        if "verbose" in inspect.signature(bayes_opt.BayesianOptimization).parameters:
            options["verbose"] = self._verbose
        self._optimizer = bayes_opt.BayesianOptimization(**options)
        self._random = numpy.random.RandomState(self._seed)
        if self._analysis is not None:
            for trial in self._analysis.trials:
                score = self.score_of(trial.last_result)
                if score is not None:
                    self._register(self.values_in(trial.config), score)

    def suggest(self, trial_id: str) -> Any:
        config = super().suggest(trial_id)
        return self.FINISHED if config is None else config

    def _ask(self, trial_id: str) -> dict[str, Any] | None:
        bounds = self.convert_search_space(self._space)
        for _ in range(self._patience):
            if self._points:
                values = self.values_in(self._points.pop(0))
            elif self._given < self._steps or not len(self._optimizer.space):
                values = {name: self._random.uniform(*bounds[name]) for name in bounds}
            elif self._function is not None:
                values = self._optimizer.suggest(self._function)
            else:
                values = self._optimizer.suggest()
            key = tuple(round(float(values[name]), 5) for name in bounds)
            if not self._skip or key not in self._seen:
                self._seen.add(key)
                self._given += 1
                self._asked[trial_id] = {name: float(values[name]) for name in bounds}
                return self._asked[trial_id]
        return None

    def _register(self, values: dict[str, float], score: float) -> None:
        self._optimizer.register(values, score if self._mode == "max" else -score)

    def _tell(self, trial_id: str, result: dict[str, Any] | None) -> None:
        values, score = self._asked.pop(trial_id, None), self.score_of(result)
        if values is not None and score is not None:
            self._register(values, score)

    def add_evaluated_point(
        self, parameters: dict[str, Any], value: float, error: bool = False
    ) -> None:
        self.begin()
        if not error:
            self._register(self.values_in(parameters), value)

    def get_state(self) -> dict[str, Any]:
        names = ("_optimizer", "_random", "_asked", "_seen", "_given", "_points", "_function")
        return {name: getattr(self, name) for name in (*names, "_begun") if hasattr(self, name)}


def _acquisition(bayes_opt: Any, options: dict[str, Any], seed: int) -> Any:
    kinds = bayes_opt.acquisition
    kind = options.get("kind", "ucb")
    if kind == "ucb":
        return kinds.UpperConfidenceBound(kappa=options.get("kappa", 2.576), random_state=seed)
    made = {"ei": kinds.ExpectedImprovement, "poi": kinds.ProbabilityOfImprovement}[kind]
    return made(xi=options.get("xi", 0.01), random_state=seed)
