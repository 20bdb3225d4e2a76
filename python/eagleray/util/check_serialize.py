"""Ray's path of inspect_serializability()."""

from .inspect_serializability import FailureTuple, inspect_serializability

__all__ = ["FailureTuple", "inspect_serializability"]
