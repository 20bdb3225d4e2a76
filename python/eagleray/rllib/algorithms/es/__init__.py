"""Evolution strategies."""

from __future__ import annotations

from .es import ES, ESConfig

__all__ = ["ES", "ESConfig"]
