"""The current home of call-backs in Ray 2.x."""

from __future__ import annotations

from ..algorithms.callbacks import DefaultCallbacks, RLlibCallback

__all__ = ["DefaultCallbacks", "RLlibCallback"]
