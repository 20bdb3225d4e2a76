"""Names of types, under Ray's path."""

from __future__ import annotations

from typing import Any

__all__ = ["type_to_string"]


def type_to_string(_type: Any) -> str:
    """The name of a type from which pydoc.locate() finds it: with its module, unless it is built in."""
    if _type.__module__ == "typing":
        return f"typing.{_type._name}"
    name: str = _type.__name__
    return name if _type.__module__ == "builtins" else f"{_type.__module__}.{name}"
