"""Decorators that say something to the reader; they change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .deprecation import Deprecated

__all__ = [
    "Deprecated",
    "DeveloperAPI",
    "ExperimentalAPI",
    "OldAPIStack",
    "OverrideToImplementCustomLogic",
    "OverrideToImplementCustomLogic_CallToSuperRecommended",
    "PublicAPI",
    "override",
]

_T = TypeVar("_T")


def override(parent_class: Any) -> Callable[[_T], _T]:
    """Of a method that stands for one of `parent_class`. NameError where that has none of this name."""

    def check(method: _T) -> _T:
        name = getattr(method, "__name__", "")
        if name and not hasattr(parent_class, name):
            raise NameError(f"{name}() overrides nothing of {parent_class.__name__}")
        return method

    return check


def PublicAPI(thing: Any = None, **_: Any) -> Any:
    """Marks what users may use."""
    return thing if callable(thing) else (lambda marked: marked)


DeveloperAPI = ExperimentalAPI = OldAPIStack = PublicAPI
OverrideToImplementCustomLogic = PublicAPI
OverrideToImplementCustomLogic_CallToSuperRecommended = PublicAPI
