"""ValueFunctionAPI: RLModules that estimate values."""

from __future__ import annotations

from typing import Any

__all__ = ["ValueFunctionAPI"]


class ValueFunctionAPI:
    """compute_values(batch, embeddings=None) -> [n]."""

    def compute_values(self, batch: Any, embeddings: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no compute_values()")
