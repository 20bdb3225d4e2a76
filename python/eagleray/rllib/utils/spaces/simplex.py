"""Simplex: positive numbers whose sum is one, as portfolios and mixtures are."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

__all__ = ["Simplex"]


class Simplex(gymnasium.Space[Any]):
    """shape (..., k): along the last axis the sum is one. concentration: of the Dirichlet samples, 1 by default."""

    def __init__(self, shape: Any, concentration: Any = None, dtype: Any = np.float32) -> None:
        super().__init__(tuple(shape), dtype)
        size = self._shape[-1]
        self.dim = size
        self.concentration = [1.0] * size if concentration is None else concentration

    def sample(self, mask: Any = None, probability: Any = None) -> Any:
        lead = self._shape[:-1]
        return self.np_random.dirichlet(self.concentration, size=lead).astype(self.dtype)

    def contains(self, x: Any) -> bool:
        array = np.asarray(x)
        return array.shape == self._shape and bool(
            np.all(array >= 0) and np.allclose(array.sum(axis=-1), 1.0, atol=1e-6)
        )

    def __repr__(self) -> str:
        return f"Simplex({self._shape}; {self.concentration})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Simplex)
            and np.allclose(self.concentration, other.concentration)
            and self._shape == other._shape
        )

    __hash__ = None  # type: ignore[assignment]
