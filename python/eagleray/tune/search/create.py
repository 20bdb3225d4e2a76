"""Searchers by name."""

from __future__ import annotations

import importlib
from typing import Any

from .searcher import Searcher

# name: module, class
SEARCHERS: dict[str, tuple[str, str]] = {
    "ax": (".ax", "AxSearch"),
    "bayesopt": (".bayesopt", "BayesOptSearch"),
    "bohb": (".bohb", "TuneBOHB"),
    "hebo": (".hebo", "HEBOSearch"),
    "hyperopt": (".hyperopt", "HyperOptSearch"),
    "nevergrad": (".nevergrad", "NevergradSearch"),
    "optuna": (".optuna", "OptunaSearch"),
    "random": (".basic_variant", "BasicVariantGenerator"),
    "variant_generator": (".basic_variant", "BasicVariantGenerator"),
    "zoopt": (".zoopt", "ZOOptSearch"),
}


def create_searcher(search_alg: str, **options: Any) -> Searcher:
    """A searcher by its name ("optuna", "hyperopt"...). ValueError: there is none; with those there are. ImportError:
    its library is not installed; it names the package."""
    if search_alg not in SEARCHERS:
        raise ValueError(
            f"no searcher is called {search_alg!r}; there are {', '.join(sorted(SEARCHERS))}"
        )
    module, name = SEARCHERS[search_alg]
    kind = getattr(importlib.import_module(module, __package__), name)
    if name == "BasicVariantGenerator":
        options = {key: value for key, value in options.items() if key not in ("metric", "mode")}
    made: Searcher = kind(**options)
    return made
