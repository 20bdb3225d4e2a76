"""Grids and random draws, in order. Follows `ray.tune.search.BasicVariantGenerator`."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from typing import Any

from .searcher import FINISHED, Searcher
from .variant_generator import (
    copy_config,
    count_variants,
    generate_variants,
    is_grid,
    set_path,
    unresolved,
)


def new_seed() -> int:
    """A seed that follows numpy.random.seed() or random.seed(), where the program has called them."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        return int(numpy.random.randint(2**31))
    return random.randrange(2**31)


class BasicVariantGenerator(Searcher):
    """Every combination of the grids, `num_samples` times, with everything else drawn anew.

    points_to_evaluate: configs (or parts of them) that come first. max_concurrent: at most so many trials at a time,
    0: no limit. constant_grid_search: what is drawn is drawn once per sample, for all combinations of the grids.
    random_state: a seed.
    """

    def __init__(
        self,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        max_concurrent: int = 0,
        constant_grid_search: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__()
        self._points = copy_config(points_to_evaluate or [])
        self.max_concurrent = max_concurrent
        self._constant = constant_grid_search
        seed = getattr(random_state, "randint", None)
        self._seed = int(seed(2**31 - 1)) if seed else random_state
        self._config: dict[str, Any] | None = None
        self._samples = 1
        self._given = (
            0  # how many configs have been given: the state of the generator, with the seed
        )
        self._live: set[str] = set()
        self._variants: Iterator[tuple[dict[Any, Any], Any]] | None = None
        self.resolved: dict[
            str, dict[Any, Any]
        ] = {}  # what was chosen, until the trial has been made

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        self._config = config
        self._samples = spec.get("num_samples") or 1
        if self._seed is None:
            self._seed = new_seed()
        return True

    @property
    def total_samples(self) -> int | None:
        if self._config is None or self._samples < 0:
            return None
        return max(len(self._points), self._per_sample() * self._samples)

    def _per_sample(self) -> int:
        return count_variants(self._config)

    def suggest(self, trial_id: str) -> Any:
        if self.max_concurrent and len(self._live) >= self.max_concurrent:
            return None
        if self._variants is None:
            self._variants = self._generate()
            for _ in range(self._given):  # a restored one goes on behind what it has given
                next(self._variants, None)
        variant = next(self._variants, None)
        if variant is None:
            return FINISHED
        self._given += 1
        if self.max_concurrent:
            self._live.add(trial_id)
        self.resolved[trial_id] = variant[0]
        return variant[1]

    def _generate(self) -> Iterator[tuple[dict[Any, Any], Any]]:
        assert self._config is not None and self._seed is not None
        generator = random.Random(self._seed)
        points = list(self._points)
        sample = 0
        while sample != self._samples or points:
            config = self._config
            if points:
                config = _with_point(copy_config(config), points.pop(0))
            fixed: dict[Any, Any] = {}
            if self._constant:
                config, fixed = _drawn_once(config, generator)
            for resolved, made in generate_variants(config, generator):
                yield {**fixed, **resolved}, made
            sample += 1

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self._live.discard(trial_id)

    def get_state(self) -> dict[str, Any]:
        return {"seed": self._seed, "given": self._given, "samples": self._samples}

    def set_state(self, state: dict[str, Any]) -> None:
        self._seed, self._given = state["seed"], state["given"]
        self._samples = state.get("samples", self._samples)
        self._variants = None


def _drawn_once(config: Any, generator: random.Random) -> tuple[Any, dict[Any, Any]]:
    """The config with everything drawn that is neither a grid nor a function."""
    made, fixed = copy_config(config), {}
    for path, value in list(unresolved(config)):
        if not is_grid(value) and not value.is_function():
            fixed[path] = value.draw(None, generator)
            made = set_path(made, path, fixed[path])
    return made, fixed


def _with_point(config: Any, point: dict[str, Any]) -> Any:
    """The config with the values of a point in the place of what would have been drawn."""
    for key, value in point.items():
        inner = config.get(key)
        if isinstance(value, dict) and isinstance(inner, dict) and not is_grid(inner):
            config[key] = _with_point(inner, value)
        else:
            config[key] = value
    return config
