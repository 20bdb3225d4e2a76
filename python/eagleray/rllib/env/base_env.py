"""BaseEnv: Ray's lowest interface to environments. Here samplers use VectorEnv; the name is for isinstance()."""

from __future__ import annotations

from ..utils.lazy import lazily
from .vector_env import VectorEnv

__all__ = ["BaseEnv"]

BaseEnv = VectorEnv


__getattr__ = lazily(__name__)  # names that are planned
