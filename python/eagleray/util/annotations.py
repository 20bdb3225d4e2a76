"""Ray's marks of how stable a name is, for programs that put them on names of their own."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from enum import Enum
from typing import Any

__all__ = ["AnnotationType", "Deprecated", "DeveloperAPI", "PublicAPI", "RayDeprecationWarning"]


class AnnotationType(Enum):
    """The marks, by the text that a marked name has as `_annotated_type`."""

    PUBLIC_API = "PublicAPI"
    DEVELOPER_API = "DeveloperAPI"
    DEPRECATED = "Deprecated"
    UNKNOWN = "Unknown"


class RayDeprecationWarning(DeprecationWarning):
    """Of names marked as Deprecated; shown by default."""


def _mark(target: Any, kind: str, note: str) -> Any:
    target._annotated = getattr(target, "__name__", "")
    target._annotated_type = kind
    target.__doc__ = f"{(target.__doc__ or '').rstrip()}\n\n{note}".lstrip()
    return target


def PublicAPI(*args: Any, **kwargs: Any) -> Any:
    """Stable, or with stability="alpha" or "beta" nearly so. ValueError for another stability."""
    if len(args) == 1 and callable(args[0]) and not kwargs:
        return PublicAPI(stability="stable")(args[0])
    stability = kwargs.pop("stability", "stable")
    kwargs.pop("api_group", None)
    if stability not in ("stable", "beta", "alpha"):
        raise ValueError(f"stability must be stable, beta or alpha, not {stability!r}")
    note = (
        "" if stability == "stable" else f"PublicAPI ({stability}): may change before it is stable."
    )
    return lambda target: _mark(target, "PublicAPI", note)


def DeveloperAPI(*args: Any, **kwargs: Any) -> Any:
    """For those who extend it; may change between minor releases."""
    note = "DeveloperAPI: may change between minor releases."
    if len(args) == 1 and callable(args[0]) and not kwargs:
        return _mark(args[0], "DeveloperAPI", note)
    return lambda target: _mark(target, "DeveloperAPI", note)


def Deprecated(*args: Any, **kwargs: Any) -> Any:
    """Goes away. message: what to use instead; warning=True warns when it is called or made."""
    if len(args) == 1 and callable(args[0]) and not kwargs:
        return Deprecated()(args[0])
    message = kwargs.pop("message", "It may be removed in a later release.")
    warns = kwargs.pop("warning", False)
    if kwargs:
        raise ValueError(f"Unknown keyword arguments: {sorted(kwargs)}")

    def mark(target: Any) -> Any:
        marked = _mark(target, "Deprecated", f"Deprecated: {message}")
        return _warning(marked, message) if warns else marked

    return mark


def _warning(target: Any, message: str) -> Any:
    function: Callable[..., Any] = target.__init__ if inspect.isclass(target) else target

    @functools.wraps(function)
    def warned(*args: Any, **kwargs: Any) -> Any:
        text = f"{target.__name__} is deprecated. {message}"
        warnings.warn(text, RayDeprecationWarning, stacklevel=2)
        return function(*args, **kwargs)

    if inspect.isclass(target):
        target.__init__ = warned  # type: ignore[method-assign]
        return target
    return warned


warnings.filterwarnings("default", category=RayDeprecationWarning)
