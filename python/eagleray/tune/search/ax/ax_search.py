"""Searches with Ax (Bayesian optimization). Follows `ray.tune.search.ax.AxSearch`."""

from __future__ import annotations

from typing import Any

from ..sample import Categorical, Integer
from ..space_searcher import SpaceSearcher, need, rounded, shape_of


class AxSearch(SpaceSearcher):
    """Suggests what an AxClient asks for.

    space: the space language of tune. parameter_constraints, outcome_constraints: Ax's ("x1 + x2 <= 2"). ax_client: a
    client with an experiment of its own, instead of all that. ax_kwargs: for AxClient(). ImportError: no ax-platform.
    """

    def __init__(
        self,
        space: Any = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        parameter_constraints: list[str] | None = None,
        outcome_constraints: list[str] | None = None,
        ax_client: Any = None,
        **ax_kwargs: Any,
    ) -> None:
        need("ax", "ax-platform", "AxSearch")
        super().__init__(space, metric, mode, points_to_evaluate)
        self._constraints = (parameter_constraints, outcome_constraints)
        self._client, self._options = ax_client, ax_kwargs
        self._number: dict[str, int] = {}  # Ax's by ours

    def _begin(self) -> None:
        if self._client is not None:
            return
        service = need("ax.service.ax_client", "ax-platform", "AxSearch")
        instantiation = need("ax.service.utils.instantiation", "ax-platform", "AxSearch")
        self._client = service.AxClient(**self._options)
        minimize = self._mode == "min"
        self._client.create_experiment(
            parameters=[_parameter(name, one) for name, (_, one) in self.domains().items()],
            objectives={self._metric: instantiation.ObjectiveProperties(minimize=minimize)},
            parameter_constraints=self._constraints[0],
            outcome_constraints=self._constraints[1],
        )

    def _ask(self, trial_id: str) -> dict[str, Any] | None:
        if self._points:
            values, number = self._client.attach_trial(self.values_in(self._points.pop(0)))
        else:
            values, number = self._client.get_next_trial()
        self._number[trial_id] = number
        return {
            name: values[name] if isinstance(one, Categorical) else rounded(one, values[name])
            for name, (_, one) in self.domains().items()
        }

    def _tell(self, trial_id: str, result: dict[str, Any] | None) -> None:
        number, score = self._number.pop(trial_id, None), self.score_of(result)
        if number is None:
            return
        if score is None:
            self._client.log_trial_failure(trial_index=number)
        else:
            self._client.complete_trial(trial_index=number, raw_data={self._metric: (score, None)})

    def get_state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("_client", "_number", "_points", "_begun")}


def _parameter(name: str, domain: Any) -> dict[str, Any]:
    if isinstance(domain, Categorical):
        return {"name": name, "type": "choice", "values": list(domain.categories)}
    log, q, normal = shape_of(domain)
    if normal is not None:
        raise ValueError(f"AxSearch needs bounds, which {domain} ({name}) has not")
    whole = isinstance(domain, Integer)
    upper = domain.upper - 1 if whole and not q else domain.upper
    return {
        "name": name,
        "type": "range",
        "bounds": [domain.lower, upper],
        "value_type": "int" if whole else "float",
        "log_scale": log,
    }
