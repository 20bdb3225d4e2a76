"""Batches from single steps: what programs use that write their own experience for offline learning."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..policy.sample_batch import SampleBatch
from ..utils.lazy import lazily

__all__ = ["SampleBatchBuilder"]


class SampleBatchBuilder:
    """add_values(t=..., obs=..., actions=...) for each step, then build_and_reset()."""

    _made = 0

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {}
        self.count = 0

    def add_values(self, **values: Any) -> None:
        """One step."""
        for key, value in values.items():
            self._columns.setdefault(key, []).append(value)
        self.count += 1

    def add_batch(self, batch: SampleBatch) -> None:
        """The steps of a batch."""
        for key, column in batch.items():
            self._columns.setdefault(key, []).extend(column)
        self.count += batch.count

    def build_and_reset(self) -> SampleBatch:
        """The batch of all steps since the last call, with an "unroll_id"."""
        batch = SampleBatch({key: np.asarray(rows) for key, rows in self._columns.items()})
        if SampleBatch.UNROLL_ID not in batch:
            batch[SampleBatch.UNROLL_ID] = np.full(batch.count, SampleBatchBuilder._made)
            SampleBatchBuilder._made += 1
        self._columns, self.count = {}, 0
        return batch


__getattr__ = lazily(__name__)  # names that are planned
