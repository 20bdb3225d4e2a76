"""Names of Ray's surface that are not built yet, or stand in another module here. They can be imported, so that a
program which mentions them loads, and raise NotImplementedError naming the feature when they are used. Which they
are stands in _core_names.txt and _library_names.txt; docs/user/compatibility.md is made from these, too."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

# Packages whose every name is one sentence.
WHOLE = {
    "data",
    "serve",
    "workflow",
    "autoscaler",
}

# Each file is read when a name of its modules is asked for that no module has.
_LIBRARIES = ("tune", "rllib")
_FILES = ("_core_names.txt", "_library_names.txt")

_made: dict[tuple[str, str], Any] = {}


class _Names(NamedTuple):
    """planned: module: what it is called in messages, its classes, its functions. elsewhere: module: name: "module
    of ours:name there". parents: packages of these."""

    planned: dict[str, tuple[str, str, str]]
    elsewhere: dict[str, dict[str, str]]
    parents: frozenset[str]


def _names_for(module: str) -> _Names:
    return _read(_FILES[module.split(".")[0] in _LIBRARIES])


@functools.cache
def _read(file_name: str) -> _Names:
    features: dict[str, str] = {}
    planned: dict[str, tuple[str, str]] = {}
    elsewhere: dict[str, dict[str, str]] = {}
    with open(os.path.join(os.path.dirname(__file__), file_name), encoding="utf-8") as file:
        lines = [line.rstrip() for line in file]
    for line in lines:
        if not line or line.startswith("#"):
            continue
        left, _, right = line.partition(":")
        module, _, place = left.partition(" < ")
        if module.endswith(".*"):
            features[module[:-2].strip(".")] = right.strip()
        elif place:
            pairs = [word.partition("=") for word in right.split()]
            known = {name: f"{place}:{own or name}" for name, _, own in pairs}
            elsewhere.setdefault(module, {}).update(known)
        else:
            names = right.split()
            classes = " ".join(name for name in names if name[0].isupper())
            functions = " ".join(name for name in names if not name[0].isupper())
            planned[module.strip(".")] = (classes, functions)
    full = {}
    for module, (classes, functions) in planned.items():
        parts = module.split(".")
        starts = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
        full[module] = (next(features[s] for s in starts if s in features), classes, functions)
    modules = [*planned, *elsewhere]
    parents = {m.rsplit(".", n)[0] for m in modules for n in range(1, m.count(".") + 1)}
    return _Names(full, elsewhere, frozenset(parents))


def planned() -> dict[str, tuple[str, str, str]]:
    """All modules with names that are not built: feature, classes and functions."""
    return {**_read(_FILES[0]).planned, **_read(_FILES[1]).planned}


def row(module: str) -> tuple[str, str, str]:
    """Feature, classes and functions of a module."""
    return _names_for(module).planned.get(module, ("", "", ""))


def is_module(module: str) -> bool:
    """Whether Ray has such a module that has no file here."""
    known = _names_for(module)
    return module in known.planned or module in known.elsewhere or module in known.parents


def is_later(module: str) -> bool:
    """Whether it is a module of which no name works."""
    known = _names_for(module)
    return module in known.planned and module not in known.elsewhere


class NotBuilt(NotImplementedError, ModuleNotFoundError):
    """Of packages that are not built: who imports them only if they are there catches an ImportError."""


class _PlannedType(type):
    """Of classes that cannot be made yet; they can be named in annotations and isinstance()."""

    message: str

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(cls.message)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NotImplementedError(cls.message)


def message_for(module: str, name: str) -> str:
    """The sentence a user reads: the full name and the feature it belongs to."""
    full = ".".join(part for part in ("ray", module, name) if part)
    return f"{full} is not implemented yet in eagleray (part of: {row(module)[0]})"


def find(module: str, name: str) -> Any:
    """The placeholder of `name` in `module` (relative to eagleray), or what stands elsewhere; a module, too.
    AttributeError: no such name."""
    if (module, name) in _made:
        return _made[module, name]
    if name.startswith("__"):
        raise _no_such(module, name)
    _, classes, functions = row(module)
    if name in classes.split():
        made: Any = _PlannedType(
            name, (), {"message": message_for(module, name), "__module__": f"eagleray.{module}"}
        )
    elif name in functions.split():

        def made(*args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError(message_for(module, name))

        made.__name__ = made.__qualname__ = name
    elif name in (there := _names_for(module).elsewhere.get(module, {})):
        place, _, own = there[name].partition(":")
        return getattr(importlib.import_module(f"eagleray.{place}"), own)
    elif is_module(deeper := f"{module}.{name}".lstrip(".")):
        return importlib.import_module(f"eagleray.{deeper}")
    elif module in WHOLE and not name.startswith("_"):
        raise NotBuilt(message_for(module, name))
    else:
        raise _no_such(module, name)
    _made[module, name] = made
    return made


def _no_such(module: str, name: str) -> AttributeError:
    full = f"eagleray.{module}".rstrip(".")
    return AttributeError(f"module {full!r} has no attribute {name!r}")


def lazily(package: str, places: Mapping[str, str] = MappingProxyType({})) -> Callable[[str], Any]:
    """The __getattr__ of a module whose names are imported when they are first asked for, or are planned. places:
    name: module relative to it, or "module:name there"."""
    relative = package.removeprefix("eagleray").lstrip(".")

    def look_up(name: str) -> Any:
        if name not in places:
            return find(relative, name)
        module, _, there = places[name].partition(":")
        return getattr(importlib.import_module(module, package), there or name)

    return look_up


class _Finder:
    """Makes modules that have no file, when everything else has failed to find them. It does without the base
    classes of importlib.abc, whose import takes a third of ours."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name == "gym" or name.startswith("gym."):
            from .rllib.env import gym_shim  # the package is missing: its stand-in

            gym_shim.install()
            return gym_shim.find_spec(name)
        if not name.startswith("eagleray."):
            return None
        module = name[len("eagleray.") :]
        if not is_module(module):
            package, _, rest = module.partition(".")
            if package in WHOLE and rest:
                raise NotBuilt(message_for(package, rest))
            return None
        return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> ModuleType:
        relative = spec.name[len("eagleray.") :]
        feature, classes, functions = row(relative)
        text = f"Not built yet: {feature}." if feature else "Names that are in other modules here."
        made = ModuleType(spec.name, text)
        elsewhere = _names_for(relative).elsewhere.get(relative, {})
        made.__dict__["__all__"] = sorted([*classes.split(), *functions.split(), *elsewhere])
        made.__dict__["__getattr__"] = lambda name: find(relative, name)
        return made

    def exec_module(self, module: ModuleType) -> None:
        pass


def install() -> None:
    sys.meta_path.append(_Finder())
