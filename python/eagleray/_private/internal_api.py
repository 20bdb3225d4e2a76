"""`free`, as programs import it from Ray."""

from __future__ import annotations

from ..internal import free

__all__ = ["free"]
