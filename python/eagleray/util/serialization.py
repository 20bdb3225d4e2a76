"""Custom serialisers, under Ray's path."""

from .._serialization import deregister_serializer, register_serializer

__all__ = ["deregister_serializer", "register_serializer"]
