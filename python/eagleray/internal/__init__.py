"""Ray's `ray.internal`."""

from __future__ import annotations

from typing import Any

from .._state import client


def free(object_refs: Any, local_only: bool = False) -> None:
    """Drops the values of objects that this process owns; later gets raise ObjectFreedError."""
    client().free(object_refs if isinstance(object_refs, list) else [object_refs])


__all__ = ["free"]
