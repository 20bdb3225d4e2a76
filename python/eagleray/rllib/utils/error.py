"""Exceptions by Ray's names."""

from __future__ import annotations

__all__ = ["EnvError", "MultiAgentEnvError", "NotSerializable", "UnsupportedSpaceException"]


class UnsupportedSpaceException(Exception):
    """A space that an algorithm cannot have."""


class EnvError(Exception):
    """An environment that breaks its interface."""


class MultiAgentEnvError(Exception):
    """A multi-agent environment that breaks its interface."""


class NotSerializable(Exception):
    """What cannot be written."""
