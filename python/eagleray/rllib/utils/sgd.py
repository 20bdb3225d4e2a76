"""Minibatches of a batch, and standardised columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..utils.lazy import lazily

__all__ = ["minibatches", "standardized"]


def standardized(array: Any) -> Any:
    """(array - mean) / max(deviation, 1e-4)."""
    return (array - array.mean()) / max(1e-4, array.std())


def minibatches(samples: Any, sgd_minibatch_size: int, shuffle: bool = True) -> Iterator[Any]:
    """Slices of `sgd_minibatch_size` rows; the rows are shuffled first unless they are sequences of states."""
    if not sgd_minibatch_size:
        yield samples
        return
    if hasattr(samples, "policy_batches"):
        raise NotImplementedError("minibatches of several policies: take those of each policy")
    if "state_in_0" not in samples and "state_out_0" not in samples:
        samples = samples.shuffle()
    parts = samples.timeslices(sgd_minibatch_size)
    order = np.random.permutation(len(parts)) if shuffle else range(len(parts))
    for at in order:
        yield parts[at]


__getattr__ = lazily(__name__)  # names that are planned
