"""Packages whose names are imported when they are first asked for; names that are planned raise by name."""

from __future__ import annotations

from ..._planned import lazily

__all__ = ["lazily"]
