"""Classes of what `init()` returns, as packages import them from Ray."""

from __future__ import annotations

from .._api import RayContext

BaseContext = RayContext

__all__ = ["BaseContext", "RayContext"]
