"""How full memory is, as programs ask Ray's inside for it: of the machine or of the tightest cgroup around it."""

from __future__ import annotations

from .._core import memory_use


def get_used_memory() -> int:
    """Bytes in use, as the memory monitor counts them."""
    return memory_use()[0]


def get_system_memory() -> int:
    """Bytes that there are."""
    return memory_use()[1]


__all__ = ["get_system_memory", "get_used_memory"]
