"""Custom serialisers, under Ray's path."""

from __future__ import annotations

from typing import Any

from .._serialization import deregister_serializer, register_serializer

__all__ = ["StandaloneSerializationContext", "deregister_serializer", "register_serializer"]


class StandaloneSerializationContext:
    """Registers serialisers without a connection, for packages that ask Ray's serialization context for that. Here
    none ever needs a connection: they are those of register_serializer()."""

    def _register_cloudpickle_serializer(
        self, cls: type, custom_serializer: Any, custom_deserializer: Any
    ) -> None:
        register_serializer(cls, serializer=custom_serializer, deserializer=custom_deserializer)

    def _unregister_cloudpickle_reducer(self, cls: type) -> None:
        deregister_serializer(cls)
