"""Searches with Nevergrad's optimizers. Follows `ray.tune.search.nevergrad.NevergradSearch`."""

from __future__ import annotations

from typing import Any

from ..sample import Categorical, Integer
from ..space_searcher import SpaceSearcher, need, rounded, shape_of

WORKERS = 16  # trials at a time that the optimizer is made for


class NevergradSearch(SpaceSearcher):
    """Suggests what a Nevergrad optimizer asks for.

    optimizer: a class of nevergrad.optimizers or its name, OnePlusOne by default (NGOpt may choose one that waits for
    every answer), or an optimizer (then `space` names its
    values). optimizer_kwargs: its other arguments, as budget. ImportError: no nevergrad.
    """

    def __init__(
        self,
        optimizer: Any = None,
        optimizer_kwargs: dict[str, Any] | None = None,
        space: Any = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
    ) -> None:
        need("nevergrad", "nevergrad", "NevergradSearch")
        super().__init__(space, metric, mode, points_to_evaluate)
        self._kind, self._options = optimizer or "OnePlusOne", dict(optimizer_kwargs or {})
        self._optimizer: Any = None
        self._asked: dict[str, Any] = {}

    def set_search_properties(
        self, metric: Any, mode: Any, config: dict[str, Any], **spec: Any
    ) -> bool:
        samples = spec.get("num_samples") or 0
        self._options.setdefault("budget", samples if samples > 0 else 100)
        return super().set_search_properties(metric, mode, config, **spec)

    def _begin(self) -> None:
        nevergrad = need("nevergrad", "nevergrad", "NevergradSearch")

        if hasattr(self._kind, "ask"):
            self._optimizer = self._kind
        else:
            kind = self._kind
            if isinstance(kind, str):
                kind = nevergrad.optimizers.registry[kind]
            self._options.setdefault("budget", 100)
            # Some block in ask(), when they are made for one worker, until all before have been told.
            self._options.setdefault("num_workers", WORKERS)
            self._optimizer = kind(parametrization=self._parameters(), **self._options)
        for point in self._points:
            self._optimizer.suggest(self.values_in(point))

    def _parameters(self) -> Any:
        nevergrad = need("nevergrad", "nevergrad", "NevergradSearch")

        return nevergrad.p.Dict(
            **{name: _parameter(one, name) for name, (_, one) in self.domains().items()}
        )

    def _ask(self, trial_id: str) -> dict[str, Any] | None:
        asked = self._asked[trial_id] = self._optimizer.ask()
        values = dict(asked.value)
        for name, (_, domain) in self.domains().items():
            if not isinstance(domain, Categorical):
                values[name] = rounded(domain, values[name])
        return values

    def _tell(self, trial_id: str, result: dict[str, Any] | None) -> None:
        asked, loss = self._asked.pop(trial_id, None), self.loss_of(result)
        if asked is not None and loss is not None:
            self._optimizer.tell(asked, loss)

    def get_state(self) -> dict[str, Any]:
        names = ("_optimizer", "_asked", "_begun")
        return {name: getattr(self, name) for name in names if hasattr(self, name)}


def _parameter(domain: Any, name: str) -> Any:
    nevergrad = need("nevergrad", "nevergrad", "NevergradSearch")

    if isinstance(domain, Categorical):
        return nevergrad.p.Choice(list(domain.categories))
    log, q, normal = shape_of(domain)
    if normal is not None:
        raise ValueError(f"NevergradSearch needs bounds, which {domain} ({name}) has not")
    whole = isinstance(domain, Integer)
    upper = domain.upper - 1 if whole and not q else domain.upper
    if log:
        made = nevergrad.p.Log(lower=domain.lower, upper=max(upper, domain.lower * 1.000001))
    else:
        made = nevergrad.p.Scalar(lower=domain.lower, upper=upper)
    return made.set_integer_casting() if whole else made
