"""The class of plugins, under Ray's name."""

from ..._environments.plugins import RuntimeEnvPlugin

__all__ = ["RuntimeEnvPlugin"]
