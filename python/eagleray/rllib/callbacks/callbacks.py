"""The current home of call-backs in Ray 2.x."""

from __future__ import annotations

from ..algorithms.callbacks import DefaultCallbacks, RLlibCallback
from ..utils.lazy import lazily

__all__ = ["DefaultCallbacks", "RLlibCallback"]


__getattr__ = lazily(__name__)  # names that are planned
