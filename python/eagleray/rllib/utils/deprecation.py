"""Saying that something has another name now."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

__all__ = [
    "DEPRECATED_VALUE",
    "Deprecated",
    "deprecation_warning",
    "renamed_agent",
    "renamed_class",
    "renamed_function",
]

# The default of arguments that nobody should give any more.
DEPRECATED_VALUE = "__deprecated__"
_logger = logging.getLogger("eagleray.rllib")


def deprecation_warning(
    old: str, new: str | None = None, *, help: str | None = None, error: Any = None
) -> None:
    """Logs that `old` is now `new`. error: True raises ValueError, the class of an exception that one."""
    advice = f" {help}" if help else f"; use {new} instead" if new else ""
    message = f"{old} is deprecated{advice}"
    if error:
        raise (error if isinstance(error, type) else ValueError)(message)
    _logger.warning("%s", message)


def Deprecated(
    old: str | None = None, *, new: str | None = None, help: str | None = None, error: Any = None
) -> Callable[[Any], Any]:
    """Of a class, method or function: using it gives a deprecation_warning()."""

    def mark(thing: Any) -> Any:
        name = str(old or getattr(thing, "__qualname__", thing))
        if inspect.isclass(thing):
            made: Any = thing
            first = made.__init__

            @functools.wraps(first)
            def init(self: Any, *args: Any, **kwargs: Any) -> None:
                deprecation_warning(name, new, help=help, error=error)
                first(self, *args, **kwargs)

            made.__init__ = init
            return made

        @functools.wraps(thing)
        def call(*args: Any, **kwargs: Any) -> Any:
            deprecation_warning(name, new, help=help, error=error)
            return thing(*args, **kwargs)

        return call

    return mark


def renamed_class(cls: Any, old_name: str | None = None) -> Any:
    """A subclass of `cls` that warns when it is made under its older name."""

    class Renamed(cls):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            deprecation_warning(old_name or cls.__name__, cls.__name__)
            super().__init__(*args, **kwargs)

    Renamed.__name__ = old_name or cls.__name__
    return Renamed


renamed_agent = renamed_class


def renamed_function(func: Any, old_name: str) -> Any:
    """`func`, warning that it was called by its older name."""
    return Deprecated(old_name, new=func.__name__)(func)
