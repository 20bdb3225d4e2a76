"""Methods that Ray has and this library has not: they can be called, and say what they belong to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["by_name"]

_T = TypeVar("_T", bound=type)


def by_name(**features: str) -> Callable[[_T], _T]:
    """A decorator of classes. features: what the methods belong to: their names, with spaces between. Each raises
    NotImplementedError; those that the class has are left alone."""

    def add(cls: _T) -> _T:
        for feature, names in features.items():
            for name in names.split():
                if not hasattr(cls, name):
                    setattr(cls, name, _missing(cls.__name__, name, feature.replace("_", " ")))
        return cls

    return add


def _missing(owner: str, name: str, feature: str) -> Callable[..., Any]:
    def method(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"{owner}.{name}() is not implemented in eagleray.rllib (part of: {feature})"
        )

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Not implemented: see the message of its error."
    return method
