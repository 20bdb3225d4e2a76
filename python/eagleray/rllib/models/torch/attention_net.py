"""The nets with attention, by their module's name in Ray."""

from __future__ import annotations

from .attention import AttentionNetwork as AttentionWrapper
from .attention import GTrXLNet

__all__ = ["AttentionWrapper", "GTrXLNet"]
