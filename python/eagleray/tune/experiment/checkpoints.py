"""The checkpoints of one trial: which are kept, which is the best, which is the latest."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
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
        self._kept: dict[str, Kept] = {}  # by path
        self._changes: list[Kept | str] = []  # those that came, the paths of those that went
        self.borrowed: Kept | None = None  # another trial's, that this one has gone on from

    @property
    def policy(self) -> tuple[int | None, str | None, str]:
        """What it was made with."""
        return self.num_to_keep, self.score_attribute, self.order

    @property
    def kept(self) -> list[Kept]:
        return list(self._kept.values())

    @property
    def newest(self) -> Kept | None:
        """What the trial would go on from: a borrowed one until it has a newer one of its own."""
        return self.borrowed or next(reversed(self._kept.values()), None)

    @property
    def latest(self) -> Checkpoint | None:
        return self.newest.checkpoint if self.newest else None

    def take_changes(self) -> list[Kept | str]:
        """What came (Kept) and went (a path) since the last time, in order."""
        changes, self._changes = self._changes, []
        return changes

    def borrow(self, checkpoint: Checkpoint, reported: int) -> None:
        """The trial goes on from another's; its own first `reported` results stay."""
        self.borrowed = Kept(checkpoint, {}, reported)

    def put(self, one: Kept) -> None:
        """Takes one, as the latest, whatever there is."""
        self._kept.pop(one.checkpoint.path, None)
        self._kept[one.checkpoint.path] = one
        self._changes.append(one)

    def add(
        self, checkpoint: Checkpoint, metrics: dict[str, Any], reported: int
    ) -> list[Checkpoint]:
        """Takes a new one; gives those that are no longer kept, whose files are the caller's to remove."""
        self.borrowed = None
        self.put(Kept(checkpoint, metrics, reported))
        going: list[Checkpoint] = []
        if self.num_to_keep is not None and len(self._kept) > self.num_to_keep:
            ranked = self._ranked()
            going = [
                one.checkpoint
                for one in ranked[: len(ranked) - self.num_to_keep]
                if one.checkpoint.path != checkpoint.path
            ]
        for one in going:
            self._drop(one.path)
        return going

    def _drop(self, path: str) -> None:
        del self._kept[path]
        self._changes.append(path)

    def drop_latest(self) -> Checkpoint | None:
        """Forgets the latest (it is damaged); gives the one before it."""
        if self.borrowed is not None:
            self.borrowed = None
        else:
            self._drop(next(reversed(self._kept)))
        return self.latest

    def clear(self) -> None:
        """Forgets all."""
        self.borrowed = None
        for path in list(self._kept):
            self._drop(path)

    def _ranked(self) -> list[Kept]:
        """The worst first; without a score, and of equals, the older is worse."""
        if not self.score_attribute:
            return self.kept
        return sorted(self._kept.values(), key=self._score)

    @property
    def best_kept(self) -> list[Kept]:
        """Those that are kept for their score, the worst first: the latest is among them only if it is that good."""
        ranked = self._ranked()
        return ranked if self.num_to_keep is None else ranked[-self.num_to_keep :]

    def _score(self, one: Kept) -> float:
        value = one.metrics.get(self.score_attribute or "", math.nan)
        value = -value if self.order == "min" else value
        return -math.inf if math.isnan(value) else float(value)

    def find(self, checkpoint: Checkpoint) -> Kept | None:
        """What is known of it; None: it is another trial's."""
        if self.borrowed is not None and self.borrowed.checkpoint == checkpoint:
            return self.borrowed
        return self._kept.get(checkpoint.path)

    @property
    def best(self) -> Checkpoint | None:
        return self._ranked()[-1].checkpoint if self._kept else None


def remove_files(checkpoints: Iterable[Checkpoint]) -> None:
    for one in checkpoints:
        shutil.rmtree(one.path, ignore_errors=True)
