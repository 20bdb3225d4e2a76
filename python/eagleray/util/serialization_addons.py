"""Serialisers for classes of other packages that do not pickle by themselves, under Ray's path."""

from __future__ import annotations

from typing import Any

__all__ = ["apply", "register_starlette_serializer"]


def register_starlette_serializer(serialization_context: Any) -> None:
    """For the State of starlette's applications, whose attributes hide what pickle asks for. Does nothing where
    starlette is not installed."""
    try:
        from starlette.datastructures import State  # type: ignore[import-not-found]
    except ImportError:
        return
    serialization_context._register_cloudpickle_serializer(
        State, custom_serializer=lambda state: state._state, custom_deserializer=State
    )


def apply(serialization_context: Any) -> None:
    """Registers all that are needed here: Pydantic's models and Arrow's tables pickle by themselves."""
    register_starlette_serializer(serialization_context)
