"""What plugins change, under Ray's name."""

from ..._environments.context import RuntimeEnvContext

__all__ = ["RuntimeEnvContext"]
