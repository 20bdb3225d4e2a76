"""Turns a config with grids and domains into the configs of trials. Follows `ray.tune.search.variant_generator`.

Order of grids: sorted by their path, the first changes fastest. Functions (sample_from) are evaluated when what they
look at is known.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from typing import Any

from ..._planned import lazily
from .sample import Categorical, Domain, Function

Path = tuple[Any, ...]
_NAME = re.compile(r"[^a-zA-Z0-9_.+-]+")


class RecursiveDependencyError(Exception):
    """Settings that are functions of each other."""


class _Unknown(Exception):
    """A function looked at a setting that is not known yet."""


class _Known(dict[str, Any]):
    """The config as functions see it: `spec.config.lr`, `spec["lr"]` and `config["lr"]` are the same."""

    def __getattr__(self, name: str) -> Any:
        if name == "config" and "config" not in self:
            return self
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the config has no {name!r}") from None

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if is_unresolved(value):
            raise _Unknown(name)
        return _Known(value) if isinstance(value, dict) else value

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default


def is_grid(value: Any) -> bool:
    """Whether it is what grid_search() makes. ValueError for a grid that is no list."""
    if isinstance(value, dict) and len(value) == 1 and "grid_search" in value:
        if not isinstance(value["grid_search"], (list, tuple)):
            raise ValueError(
                f"grid_search takes a list of values, not {type(value['grid_search']).__name__}"
            )
        return True
    return isinstance(value, Categorical) and value.is_grid()


def is_unresolved(value: Any) -> bool:
    return isinstance(value, Domain) or is_grid(value)


def unresolved(config: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """What has to be resolved in it, with its path, in the order in which it stands there."""
    if is_unresolved(config):
        yield path, config
    elif isinstance(config, dict):
        for key, value in config.items():
            yield from unresolved(value, (*path, key))
    elif isinstance(config, (list, tuple)):
        for index, value in enumerate(config):
            yield from unresolved(value, (*path, index))


def has_unresolved(config: Any) -> bool:
    return next(unresolved(config), None) is not None


def grid_values(value: Any) -> list[Any]:
    return list(value["grid_search"] if isinstance(value, dict) else value.categories)


def count_variants(config: Any) -> int:
    """How many trials the grids make; at least 1."""
    total = 1
    for _, value in unresolved(config):
        if is_grid(value):
            total *= max(1, sum(count_variants(choice) for choice in grid_values(value)))
    return total


def generate_variants(
    config: Any, generator: random.Random | None = None
) -> Iterator[tuple[dict[Path, Any], Any]]:
    """For each combination of the grids: what was chosen by path, and a config of its own without anything open."""
    generator = generator or random.Random()
    found = list(unresolved(config))
    grids = sorted(
        ((p, v) for p, v in found if is_grid(v)), key=lambda item: [str(k) for k in item[0]]
    )
    domains = [(p, v) for p, v in found if not is_grid(v)]
    values = [grid_values(value) for _, value in reversed(grids)]
    for chosen in itertools.product(*values):
        resolved: dict[Path, Any] = {}
        made = copy_config(config)
        for (path, _), value in zip(reversed(grids), chosen, strict=True):
            made = set_path(made, path, copy_config(value))
            resolved[path] = value
        made = _draw(made, domains, resolved, generator)
        if has_unresolved(made):  # a grid or domain among the values
            for more, whole in generate_variants(made, generator):
                yield {**resolved, **more}, whole
        else:
            yield resolved, made


def _draw(
    made: Any, domains: list[Any], resolved: dict[Path, Any], generator: random.Random
) -> Any:
    waiting = sorted(domains, key=lambda item: isinstance(item[1], Function))
    while waiting:
        left = []
        for path, domain in waiting:
            try:
                spec = _Known(made) if isinstance(domain, Function) else None
                value = domain.draw(spec, generator)
            except _Unknown:
                left.append((path, domain))
                continue
            made = set_path(made, path, value)
            resolved[path] = value
        if len(left) == len(waiting):
            names = ", ".join(".".join(map(str, path)) for path, _ in left)
            raise RecursiveDependencyError(f"these settings are functions of each other: {names}")
        waiting = left
    return made


def copy_config(config: Any) -> Any:
    """Its own dictionaries and lists; the values in them are shared."""
    if isinstance(config, dict):
        made = {key: copy_config(value) for key, value in config.items()}
        return made if type(config) is dict else _like(config, made)
    if type(config) is list:
        return [copy_config(value) for value in config]
    if type(config) is tuple:
        return tuple(copy_config(value) for value in config)
    return config


def _like(config: Any, made: dict[Any, Any]) -> Any:
    try:
        return type(config)(made)
    except TypeError:
        return made


def set_path(config: Any, path: Path, value: Any) -> Any:
    """The config with the value at the path; dictionaries and lists are changed in place."""
    if not path:
        return value
    here, rest = path[0], path[1:]
    if isinstance(config, tuple):
        return (*config[:here], set_path(config[here], rest, value), *config[here + 1 :])
    config[here] = set_path(config[here], rest, value)
    return config


def flatten_resolved(resolved: dict[Path, Any]) -> dict[str, Any]:
    """What was chosen, by paths with slashes."""
    return {
        "/".join(map(str, path)) if isinstance(path, tuple) else str(path): value
        for path, value in resolved.items()
    }


def format_vars(resolved: dict[Any, Any]) -> str:
    """What was chosen as part of a directory's name: `layers=2,lr=0.01`."""
    by_path = {
        (key if isinstance(key, tuple) else tuple(str(key).split("/"))): value
        for key, value in resolved.items()
    }
    ordered = sorted(by_path.items(), key=lambda item: [str(part) for part in item[0]])
    return ",".join(f"{_clean(path[-1])}={_clean(value)}" for path, value in ordered if path)


def _clean(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return _NAME.sub("_", str(value)).strip("_")[:60]


__getattr__ = lazily(__name__)  # names that are planned
