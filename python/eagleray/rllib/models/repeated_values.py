"""RepeatedValues: a batch of Repeated spaces' values, as models see it."""

from __future__ import annotations

from typing import Any

from ..utils.trees import leaves_of, map_tree

__all__ = ["RepeatedValues"]


class RepeatedValues:
    """values: [batch, max_len, ...] arrays or tensors (nested); lengths: how many of them are real, by row."""

    def __init__(self, values: Any, lengths: Any, max_len: int) -> None:
        self.values, self.lengths, self.max_len = values, lengths, max_len

    def unbatch_all(self) -> list[list[Any]]:
        """A list of real values for each row."""
        return [
            [map_tree(lambda leaf, b=b, i=i: leaf[b, i], self.values) for i in range(int(count))]
            for b, count in enumerate(self.lengths)
        ]

    def unbatch_repeat_dim(self) -> list[Any]:
        """`max_len` batches, one a place."""
        count = leaves_of(self.values)[0].shape[1]
        return [map_tree(lambda leaf, i=i: leaf[:, i], self.values) for i in range(count)]

    def __repr__(self) -> str:
        return f"RepeatedValues(lengths={self.lengths!r}, max_len={self.max_len})"
