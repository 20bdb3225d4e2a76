"""What the adapters of search libraries have in common: the space, names of settings, and what they are told.

A setting's name in a library is its path in the config with slashes, `model/lr`.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

from ..utils.flatten import lookup
from .sample import Categorical, Domain, Function, LogUniform, Normal, Quantized
from .searcher import Searcher
from .variant_generator import (
    copy_config,
    generate_variants,
    has_unresolved,
    is_grid,
    set_path,
    unresolved,
)

Path = tuple[Any, ...]


def need(module: str, package: str, who: str) -> Any:
    """A library's module. ImportError that names the package."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{who} needs the package {package}: pip install {package}") from error


def name_of(path: Path) -> str:
    return "/".join(map(str, path))


def refuse_grids(space: Any, who: str) -> None:
    """ValueError for a grid: a searcher chooses, it does not go through all."""
    for path, value in unresolved(space):
        if is_grid(value):
            raise ValueError(
                f"{who} cannot search the grid at {name_of(path)!r}: use tune.choice([...]) there, or leave "
                "search_alg out to have every combination"
            )


def shape_of(domain: Domain) -> tuple[bool, float | None, Normal | None]:
    """Of a number: whether its logarithm is uniform, what it is rounded to, and its normal, if it is one."""
    sampler = domain.get_sampler()
    q = sampler.q if isinstance(sampler, Quantized) else None
    inner = sampler.get_sampler() if isinstance(sampler, Quantized) else sampler
    return isinstance(inner, LogUniform), q, inner if isinstance(inner, Normal) else None


def rounded(domain: Any, value: float) -> float:
    """A value that a library has drawn, as the domain has it: rounded to its step, within its bounds."""
    _, q, _ = shape_of(domain)
    if q:
        value = round(round(value / q) * q, 12)
    return float(min(max(value, domain.lower), domain.upper))


def _own(domain: Domain, value: Any) -> Any:
    """A value as the program knows it: libraries give numpy's numbers and strings."""
    if isinstance(domain, Categorical):
        return next((one for one in domain.categories if one is value or one == value), value)
    return domain.cast(value)


class SpaceSearcher(Searcher):
    """A searcher with a space, its own or the experiment's.

    Subclasses define `_begin()`, called when metric, mode and space are known and nothing has been suggested, `_ask`
    and `_tell`. points_to_evaluate: configs, or parts of them, that are suggested first.
    """

    def __init__(
        self,
        space: Any = None,
        metric: Any = None,
        mode: Any = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(metric, mode)
        if points_to_evaluate is not None and not (
            isinstance(points_to_evaluate, list)
            and all(isinstance(point, dict) for point in points_to_evaluate)
        ):
            raise ValueError("points_to_evaluate must be a list of dictionaries")
        self._space = space
        self._own_space = bool(space)
        self._points = copy_config(points_to_evaluate or [])
        self._begun = False
        if isinstance(space, dict):
            refuse_grids(space, type(self).__name__)

    def set_search_properties(
        self, metric: Any, mode: Any, config: dict[str, Any], **spec: Any
    ) -> bool:
        self._metric, self._mode = metric or self._metric, mode or self._mode
        if self._own_space:
            return False
        refuse_grids(config, type(self).__name__)
        self._space = config
        return True

    def suggest(self, trial_id: str) -> Any:
        self.begin()
        values = self._ask(trial_id)
        return None if values is None else self.config_of(values)

    def begin(self) -> None:
        """Makes the library's optimizer, once. ValueError: something is missing for it."""
        if self._begun:
            return
        if not self._metric or not self._mode:
            raise ValueError(
                f"{type(self).__name__} has no metric or no mode: give them to it, or to tune.run() or TuneConfig"
            )
        if not self._space or (isinstance(self._space, dict) and not self.is_searchable()):
            raise ValueError(
                f"{type(self).__name__} has no space: give it one, or tune.run(config=...) with tune.uniform() and "
                "the like"
            )
        self._begin()
        self._begun = True

    def is_searchable(self) -> bool:
        return has_unresolved(self._space) or self._own_space

    def domains(self) -> dict[str, tuple[Path, Domain]]:
        """What is searched, by name; functions (sample_from) follow from the rest."""
        return {
            name_of(path): (path, domain)
            for path, domain in unresolved(self._space)
            if not isinstance(domain, Function)
        }

    def config_of(self, values: dict[str, Any]) -> dict[str, Any]:
        """The config with the values in their places. Of the experiment's space only what is searched: the rest is
        added to every trial."""
        open_keys = {path[0] for path, _ in unresolved(self._space)}
        made = copy_config(
            {k: v for k, v in self._space.items() if self._own_space or k in open_keys}
        )
        for name, (path, domain) in self.domains().items():
            made = set_path(made, path, _own(domain, values[name]))
        if has_unresolved(made):  # functions of what has been chosen
            made = next(generate_variants(made))[1]
        return dict(made)

    def values_in(self, config: dict[str, Any]) -> dict[str, Any]:
        """The values of what is searched in a config; what it lacks is left out."""
        found = {}
        for name, (path, _) in self.domains().items():
            inner: Any = config
            for key in path:
                try:
                    inner = inner[key]
                except (KeyError, IndexError, TypeError):
                    break
            else:
                found[name] = inner
        if not found:  # names with slashes
            found = {name: config[name] for name in self.domains() if name in config}
        return found

    def score_of(self, result: dict[str, Any] | None) -> float | None:
        """The metric in a result; None: it has none, or it is NaN."""
        value = lookup(result, self._metric) if result else None
        return None if value is None or math.isnan(value) else float(value)

    def loss_of(self, result: dict[str, Any] | None) -> float | None:
        """Lower is better, whatever the mode."""
        value = self.score_of(result)
        return -value if value is not None and self._mode == "max" else value

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self._tell(trial_id, None if error else result)

    def _begin(self) -> None:
        raise NotImplementedError

    def _ask(self, trial_id: str) -> dict[str, Any] | None:
        """Values by name; None: not now."""
        raise NotImplementedError

    def _tell(self, trial_id: str, result: dict[str, Any] | None) -> None:
        """How a trial has ended; None: it failed. It may be one that this searcher has not suggested."""
        raise NotImplementedError
