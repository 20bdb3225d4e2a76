"""How a config is changed when it is taken over: drawn again, or moved to a neighbour."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from ..search.sample import Domain
from ..search.variant_generator import copy_config


def draw_mutation(mutation: Any) -> Any:
    """A new value: of a list, a domain, or a function without arguments."""
    if isinstance(mutation, Domain):
        return mutation.sample(None)
    if isinstance(mutation, (list, tuple)):
        return random.choice(list(mutation))
    return mutation()


def fill(config: dict[str, Any], mutations: dict[str, Any]) -> dict[tuple[Any, ...], Any]:
    """Draws what a config lacks of the settings that will be changed; gives these, by path."""
    drawn: dict[tuple[Any, ...], Any] = {}
    for key, mutation in mutations.items():
        if isinstance(mutation, dict):
            inner = fill(config.setdefault(key, {}), mutation)
            drawn.update({(key, *path): value for path, value in inner.items()})
        elif config.get(key) is None:
            config[key] = drawn[(key,)] = draw_mutation(mutation)
    return drawn


def explore(
    config: dict[str, Any],
    mutations: dict[str, Any],
    resample_probability: float,
    factors: tuple[float, ...] = (1.2, 0.8),
    custom: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A changed copy, and what was done to each setting, in words.

    A list's value moves to one of its neighbours there, a number is multiplied by one of the factors (a whole number
    stays whole), or, with the probability, it is drawn again; what is neither is left. `custom` has the last word.
    ValueError: it gave no config.
    """
    made = copy_config(config)
    done: dict[str, Any] = {}
    for key, mutation in mutations.items():
        if isinstance(mutation, dict):
            made[key], done[key] = explore(config[key], mutation, resample_probability, factors)
        else:
            made[key], done[key] = _changed(config[key], mutation, resample_probability, factors)
    if custom is not None:
        made = custom(made)
        if not isinstance(made, dict):
            raise ValueError(
                f"custom_explore_fn must return the config that is to be used, not {made!r}"
            )
    return made, done


def _changed(
    value: Any, mutation: Any, resample_probability: float, factors: tuple[float, ...]
) -> tuple[Any, str]:
    again = random.random() < resample_probability
    if isinstance(mutation, (list, tuple)):
        values = list(mutation)
        if again or value not in values:
            return random.choice(values), "resample"
        step = random.choice((-1, 1))
        place = min(max(values.index(value) + step, 0), len(values) - 1)
        return values[place], f"shift {'left' if step < 0 else 'right'}"
    if again:
        return draw_mutation(mutation), "resample"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        factor = random.choice(list(factors))
        return type(value)(value * factor), f"* {factor}"
    return value, "noop"
