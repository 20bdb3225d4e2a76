"""Searches with ZOOpt (SRacos). Follows `ray.tune.search.zoopt.ZOOptSearch`."""

from __future__ import annotations

import math
from typing import Any

from ..sample import Categorical, Integer
from ..space_searcher import SpaceSearcher, need, rounded, shape_of

_FAILED = 1e300  # the loss of a trial that has none


class ZOOptSearch(SpaceSearcher):
    """Suggests what ZOOpt asks for.

    algo: "asracos" (or "sracos"). budget: how many trials there will be, which it plans for. dim_dict: the space, in
    tune's language. parallel_num: trials at a time. kwargs: for ZOOpt's Parameter. ImportError: no zoopt.
    """

    def __init__(
        self,
        algo: str = "asracos",
        budget: int | None = None,
        dim_dict: dict[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        parallel_num: int = 1,
        **kwargs: Any,
    ) -> None:
        need("zoopt", "zoopt", "ZOOptSearch")
        if algo.lower() not in ("asracos", "sracos"):
            raise ValueError(f"algo must be 'asracos' or 'sracos', not {algo!r}")
        super().__init__(dim_dict, metric, mode, points_to_evaluate)
        self._budget, self._parallel, self._options = budget, parallel_num, kwargs
        self._optimizer: Any = None
        self._asked: dict[str, Any] = {}

    def set_search_properties(
        self, metric: Any, mode: Any, config: dict[str, Any], **spec: Any
    ) -> bool:
        samples = spec.get("num_samples") or 0
        self._budget = self._budget or (samples if samples > 0 else None)
        return super().set_search_properties(metric, mode, config, **spec)

    def _begin(self) -> None:
        zoopt = need("zoopt", "zoopt", "ZOOptSearch")
        sracos = need("zoopt.algos.opt_algorithms.racos.sracos", "zoopt", "ZOOptSearch")
        self._names = list(self.domains())
        dimension = zoopt.Dimension2(
            [_dimension(zoopt, name, one) for name, (_, one) in self.domains().items()]
        )
        points = [self.values_in(point) for point in self._points]
        options = dict(self._options)
        if points:
            options["init_samples"] = [
                [_encoded(self.domains()[name][1], point[name]) for name in self._names]
                for point in points
            ]
        self._optimizer = sracos.SRacosTune(
            dimension=dimension,
            parameter=zoopt.Parameter(budget=self._budget or 100, **options),
            parallel_num=self._parallel,
        )

    def suggest(self, trial_id: str) -> Any:
        self.begin()
        solution = self._optimizer.suggest()
        first = self._optimizer.get_parameters().get_train_size()
        if not solution and self._optimizer.complete_num >= first > 0:
            # Behind its first samples it waits for a result that is to come, also where all have come.
            self._optimizer.semaphore = 1
            solution = self._optimizer.suggest()
        if solution == "FINISHED":
            return self.FINISHED
        if not solution:
            return None
        self._asked[trial_id] = solution
        values = dict(zip(self._names, solution.get_x(), strict=True))
        for name, (_, one) in self.domains().items():
            if not isinstance(one, Categorical):
                value = math.exp(values[name]) if shape_of(one)[0] else values[name]
                values[name] = rounded(one, value)
        return self.config_of(values)

    def _tell(self, trial_id: str, result: dict[str, Any] | None) -> None:
        solution, loss = self._asked.pop(trial_id, None), self.loss_of(result)
        if solution is not None:  # it waits for those that have failed, too
            self._optimizer.complete(solution, _FAILED if loss is None else loss)

    def get_state(self) -> dict[str, Any]:
        names = ("_optimizer", "_asked", "_names", "_begun")
        return {name: getattr(self, name) for name in names if hasattr(self, name)}


def _encoded(domain: Any, value: Any) -> Any:
    """As ZOOpt has it: the logarithm, where that is uniform."""
    return math.log(value) if not isinstance(domain, Categorical) and shape_of(domain)[0] else value


def _dimension(zoopt: Any, name: str, domain: Any) -> Any:
    if isinstance(domain, Categorical):
        return (zoopt.ValueType.GRID, list(domain.categories))
    log, q, normal = shape_of(domain)
    if normal is not None:
        raise ValueError(f"ZOOptSearch needs bounds, which {domain} ({name}) has not")
    if log:
        ends = [math.log(domain.lower), math.log(domain.upper)]
        return (zoopt.ValueType.CONTINUOUS, ends, 1e-10)
    if isinstance(domain, Integer):
        upper = int(domain.upper) if q else int(domain.upper) - 1
        return (zoopt.ValueType.DISCRETE, [int(domain.lower), upper], True)
    return (zoopt.ValueType.CONTINUOUS, [domain.lower, domain.upper], q or 1e-10)
