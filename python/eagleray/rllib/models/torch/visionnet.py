"""The net for images, by its module's name in Ray."""

from __future__ import annotations

from .fcnet import VisionNetwork

__all__ = ["VisionNetwork"]
