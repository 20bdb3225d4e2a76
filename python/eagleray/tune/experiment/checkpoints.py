"""The checkpoints of one trial: which are kept, which is the best, which is the latest."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, field
from typing import Any

from ..checkpoint import Checkpoint


@dataclass
class Kept:
    """A checkpoint and the result that it came with."""

    checkpoint: Checkpoint
    metrics: dict[str, Any] = field(default_factory=dict)
    reported: int = 0  # how many results its trial had reported

    @property
    def iteration(self) -> int:
        return int(self.metrics.get("training_iteration", 0))


class CheckpointList:
    """Oldest first. num_to_keep: None keeps all; else the best by score_attribute (order "max" or "min"), without one
    the newest, and the latest beside them."""

    def __init__(
        self, num_to_keep: int | None = None, score_attribute: str | None = None, order: str = "max"
    ) -> None:
        self.num_to_keep = num_to_keep
        self.score_attribute = score_attribute
        self.order = order
        self.kept: list[Kept] = []
        self.borrowed: Kept | None = None  # another trial's, that this one has gone on from

    @property
    def newest(self) -> Kept | None:
        """What the trial would go on from: a borrowed one until it has a newer one of its own."""
        return self.borrowed or (self.kept[-1] if self.kept else None)

    @property
    def latest(self) -> Checkpoint | None:
        return self.newest.checkpoint if self.newest else None

    def borrow(self, checkpoint: Checkpoint, reported: int) -> None:
        """The trial goes on from another's; its own first `reported` results stay."""
        self.borrowed = Kept(checkpoint, {}, reported)

    def add(
        self, checkpoint: Checkpoint, metrics: dict[str, Any], reported: int
    ) -> list[Checkpoint]:
        """Takes a new one; gives those that are no longer kept, whose files are the caller's to remove."""
        self.borrowed = None
        self.kept = [one for one in self.kept if one.checkpoint.path != checkpoint.path]
        self.kept.append(Kept(checkpoint, metrics, reported))
        if self.num_to_keep is None or len(self.kept) <= self.num_to_keep:
            return []
        ranked = sorted(self.kept, key=self.score, reverse=True)
        going = [one for one in ranked[self.num_to_keep :] if one is not self.kept[-1]]
        self.kept = [one for one in self.kept if one not in going]
        return [one.checkpoint for one in going]

    def drop_latest(self) -> Checkpoint | None:
        """Forgets the latest (it is damaged); gives the one before it."""
        if self.borrowed is not None:
            self.borrowed = None
        else:
            self.kept.pop()
        return self.latest

    def score(self, one: Kept) -> tuple[float, int]:
        """Higher is better; without a score, newer is."""
        if not self.score_attribute:
            return (0.0, self.kept.index(one))
        value = one.metrics.get(self.score_attribute, math.nan)
        value = -value if self.order == "min" else value
        return (-math.inf if math.isnan(value) else value, self.kept.index(one))

    def find(self, checkpoint: Checkpoint) -> Kept | None:
        """What is known of it; None: it is another trial's."""
        known = [*self.kept, *([self.borrowed] if self.borrowed else [])]
        return next((one for one in known if one.checkpoint == checkpoint), None)

    @property
    def best(self) -> Checkpoint | None:
        return max(self.kept, key=self.score).checkpoint if self.kept else None


def remove_files(checkpoints: list[Checkpoint]) -> None:
    for one in checkpoints:
        shutil.rmtree(one.path, ignore_errors=True)
