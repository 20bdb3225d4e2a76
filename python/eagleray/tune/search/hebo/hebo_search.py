"""Searches with HEBO (Bayesian optimization). Follows `ray.tune.search.hebo.HEBOSearch`."""

from __future__ import annotations

from typing import Any

from ..sample import Categorical, Integer
from ..space_searcher import SpaceSearcher, need, rounded, shape_of


class HEBOSearch(SpaceSearcher):
    """Suggests what HEBO asks for.

    points_to_evaluate come first; evaluated_rewards: their values, so that they do not run. random_state_seed: a seed.
    max_concurrent: so many are asked for at a time. kwargs: for HEBO(). ImportError: no HEBO.
    """

    def __init__(
        self,
        space: Any = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        evaluated_rewards: list[float] | None = None,
        random_state_seed: int | None = None,
        max_concurrent: int = 8,
        **kwargs: Any,
    ) -> None:
        need("hebo", "HEBO", "HEBOSearch")
        super().__init__(space, metric, mode, points_to_evaluate)
        if evaluated_rewards and len(evaluated_rewards) != len(self._points):
            raise ValueError("evaluated_rewards needs one value for each of points_to_evaluate")
        if max_concurrent < 1:
            raise ValueError(f"max_concurrent must be positive, not {max_concurrent}")
        self._rewards, self._seed, self._batch = (
            evaluated_rewards,
            random_state_seed,
            max_concurrent,
        )
        self._options = kwargs
        self._optimizer: Any = None
        self._asked: dict[str, Any] = {}  # rows of HEBO's tables
        self._waiting: list[Any] = []

    def _begin(self) -> None:
        numpy: Any = need("numpy", "numpy", "HEBOSearch")
        spaces = need("hebo.design_space.design_space", "HEBO", "HEBOSearch")
        optimizers = need("hebo.optimizers.hebo", "HEBO", "HEBOSearch")
        if self._seed is not None:
            numpy.random.seed(self._seed)
            need("torch", "torch", "HEBOSearch").random.manual_seed(self._seed)
        space = spaces.DesignSpace().parse(
            [_parameter(name, one) for name, (_, one) in self.domains().items()]
        )
        self._optimizer = optimizers.HEBO(space=space, **self._options)
        if self._rewards:
            for point, reward in zip(self._points, self._rewards, strict=True):
                self.add_evaluated_point(point, reward)
            self._points = []

    def _ask(self, trial_id: str) -> dict[str, Any] | None:
        if self._points:
            row = self._row(self.values_in(self._points.pop(0)))
        else:
            if not self._waiting:
                table = self._optimizer.suggest(n_suggestions=self._batch)
                self._waiting = [table.iloc[[index]] for index in range(len(table))]
            row = self._waiting.pop(0)
        self._asked[trial_id] = row
        values = row.iloc[0].to_dict()
        return {
            name: values[name] if isinstance(one, Categorical) else rounded(one, values[name])
            for name, (_, one) in self.domains().items()
        }

    @staticmethod
    def _row(values: dict[str, Any]) -> Any:
        return need("pandas", "pandas", "HEBOSearch").DataFrame([values])

    def _tell(self, trial_id: str, result: dict[str, Any] | None) -> None:
        row, loss = self._asked.pop(trial_id, None), self.loss_of(result)
        if row is not None and loss is not None:
            self._observe(row, loss)

    def _observe(self, row: Any, loss: float) -> None:
        numpy: Any = need("numpy", "numpy", "HEBOSearch")
        self._optimizer.observe(row, numpy.array([[loss]]))

    def add_evaluated_point(
        self, parameters: dict[str, Any], value: float, error: bool = False
    ) -> None:
        if self._optimizer is None:
            self.begin()
        if not error:
            self._observe(
                self._row(self.values_in(parameters)), -value if self._mode == "max" else value
            )

    def get_state(self) -> dict[str, Any]:
        names = ("_optimizer", "_asked", "_waiting", "_points", "_begun")
        return {name: getattr(self, name) for name in names}


def _parameter(name: str, domain: Any) -> dict[str, Any]:
    if isinstance(domain, Categorical):
        return {"name": name, "type": "cat", "categories": list(domain.categories)}
    log, q, normal = shape_of(domain)
    if normal is not None:
        raise ValueError(f"HEBOSearch needs bounds, which {domain} ({name}) has not")
    whole = isinstance(domain, Integer)
    upper = domain.upper - 1 if whole and not q else domain.upper
    kind = ("pow_int" if log else "int") if whole else ("pow" if log else "num")
    return {"name": name, "type": kind, "lb": domain.lower, "ub": upper}
