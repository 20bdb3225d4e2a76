"""Call-backs by the name of Ray 1.x."""

from __future__ import annotations

from ..algorithms.callbacks import DefaultCallbacks

__all__ = ["DefaultCallbacks"]
