"""Searches with HyperOpt's tree of Parzen estimators. Follows `ray.tune.search.hyperopt.HyperOptSearch`."""

from __future__ import annotations

import math
from typing import Any

import numpy

from ..sample import Categorical, Float, Function, Integer
from ..space_searcher import SpaceSearcher, need, refuse_grids, rounded, shape_of
from ..variant_generator import generate_variants, has_unresolved, is_unresolved, unresolved


class HyperOptSearch(SpaceSearcher):
    """Suggests by TPE.

    space: the space language of tune, where a choice may be between spaces, or one of hyperopt's own expressions
    (`hp.uniform(...)` in a dictionary). n_initial_points: so many are random. random_state_seed: a seed. gamma: which
    part of the results counts as good. ImportError: no hyperopt.
    """

    def __init__(
        self,
        space: Any = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        n_initial_points: int = 20,
        random_state_seed: int | None = None,
        gamma: float = 0.25,
    ) -> None:
        self._hyperopt = need("hyperopt", "hyperopt", "HyperOptSearch")
        super().__init__(space, metric, mode, points_to_evaluate)
        self._initial, self._gamma = n_initial_points, gamma
        self._random = numpy.random.default_rng(random_state_seed)
        self._number: dict[str, int] = {}  # hyperopt's by ours

    def _begin(self) -> None:
        space = self._space
        if has_unresolved(space):
            space = self.convert_search_space(space)
        self._domain = self._hyperopt.Domain(lambda config: config, space)
        self._trials = self._hyperopt.Trials()
        if self._points:
            points = [self._point(point) for point in self._points]
            fmin = need("hyperopt.fmin", "hyperopt", "HyperOptSearch")
            self._trials = fmin.generate_trials_to_calculate(points)
            self._trials.refresh()
        self._waiting = [doc["tid"] for doc in self._trials.trials] if self._points else []

    def _point(self, config: dict[str, Any]) -> dict[str, Any]:
        """A config as hyperopt has it: by name, choices by their place."""
        values = self.values_in(config) if has_unresolved(self._space) else dict(config)
        for name, (_, domain) in self.domains().items():
            if name in values and isinstance(domain, Categorical):
                values[name] = domain.categories.index(values[name])
        return values

    def suggest(self, trial_id: str) -> Any:
        self.begin()
        base = self._hyperopt.base
        if self._waiting:
            number = self._waiting.pop(0)
            document = next(doc for doc in self._trials.trials if doc["tid"] == number)
        else:
            number = self._trials.new_trial_ids(1)[0]
            self._trials.refresh()
            (document,) = self._hyperopt.tpe.suggest(
                [number],
                self._domain,
                self._trials,
                int(self._random.integers(2**31 - 1)),
                n_startup_jobs=self._initial,
                gamma=self._gamma,
                verbose=False,
            )
            self._trials.insert_trial_docs([document])
            self._trials.refresh()
        self._number[trial_id] = number
        values = base.spec_from_misc(document["misc"])
        memo = self._domain.memo_from_config(values)
        config = self._hyperopt.pyll.rec_eval(
            self._domain.expr, memo=memo, print_node_on_error=False
        )
        return self._finished(_plain(config))

    def _finished(self, config: dict[str, Any]) -> dict[str, Any]:
        """As the space has it: rounded, with what hyperopt has not been told of."""
        if has_unresolved(self._space):
            for name, (path, domain) in self.domains().items():
                if isinstance(domain, (Float, Integer)) and name in self.values_in(config):
                    inner = config
                    for key in path[:-1]:
                        inner = inner[key]
                    inner[path[-1]] = domain.cast(rounded(domain, inner[path[-1]]))
        return next(generate_variants(config))[1] if has_unresolved(config) else config

    def _tell(self, trial_id: str, result: dict[str, Any] | None) -> None:
        number = self._number.pop(trial_id, None)
        if number is None:
            return
        document = next(doc for doc in self._trials.trials if doc["tid"] == number)
        loss = self.loss_of(result)
        if loss is None:
            document["state"] = self._hyperopt.base.JOB_STATE_ERROR
            document["misc"]["error"] = ("failed", "it has no value")
        else:
            document["state"] = self._hyperopt.base.JOB_STATE_DONE
            document["result"] = {"loss": loss, "status": "ok"}
        self._trials.refresh()

    @staticmethod
    def convert_search_space(spec: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        """The space as hyperopt's expressions; functions (sample_from) are left for afterwards."""
        refuse_grids(spec, "HyperOptSearch")
        made: dict[str, Any] = _converted(spec, prefix)
        return made

    def get_state(self) -> dict[str, Any]:
        names = ("_trials", "_number", "_waiting", "_random", "_begun")
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def set_state(self, state: dict[str, Any]) -> None:
        if state.get("_begun"):
            self.begin()
        super().set_state(state)


def _converted(value: Any, name: str) -> Any:
    if isinstance(value, dict) and not is_unresolved(value):
        return {key: _converted(inner, f"{name}/{key}".lstrip("/")) for key, inner in value.items()}
    if isinstance(value, (list, tuple)) and next(unresolved(value), None):
        return [_converted(inner, f"{name}/{index}") for index, inner in enumerate(value)]
    if isinstance(value, Function) or not is_unresolved(value):
        return value
    return _expression(value, name)


def _expression(domain: Any, name: str) -> Any:
    hp = need("hyperopt", "hyperopt", "HyperOptSearch").hp

    if isinstance(domain, Categorical):
        options = [_converted(one, f"{name}/{i}") for i, one in enumerate(domain.categories)]
        return hp.choice(name, options)
    log, q, normal = shape_of(domain)
    if normal is not None:
        return hp.normal(name, normal.mean, normal.sd)
    if isinstance(domain, Integer) and not log and not q:
        return hp.randint(name, int(domain.lower), max(int(domain.upper), int(domain.lower) + 1))
    if log:
        return hp.loguniform(name, math.log(domain.lower), math.log(domain.upper))
    return hp.uniform(name, domain.lower, domain.upper)


def _plain(value: Any) -> Any:
    """Lists where hyperopt makes tuples, and Python's numbers where it makes numpy's."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value.item() if isinstance(value, numpy.generic) else value
