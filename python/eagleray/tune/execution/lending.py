"""Checkpoints that other trials go on from: their files stay until the borrower has one of its own, or has ended."""

from __future__ import annotations

from ..checkpoint import Checkpoint


class LentCheckpoints:
    """Who has borrowed what. Decides which files may be removed; removes none."""

    def __init__(self) -> None:
        self._borrowers: dict[str, set[str]] = {}  # path: trial ids
        self._borrowed: dict[str, set[str]] = {}  # trial id: paths
        self._given_up: set[str] = set()  # paths that their own trials keep no longer

    def lend(self, checkpoint: Checkpoint, borrower: str) -> None:
        self._borrowers.setdefault(checkpoint.path, set()).add(borrower)
        self._borrowed.setdefault(borrower, set()).add(checkpoint.path)

    def removable(self, going: list[Checkpoint]) -> list[Checkpoint]:
        """Of those that their trial keeps no longer: the ones that nobody else needs."""
        self._given_up.update(one.path for one in going if one.path in self._borrowers)
        return [one for one in going if one.path not in self._borrowers]

    def release(self, borrower: str) -> list[Checkpoint]:
        """A trial needs none but its own any more; gives those that may be removed now."""
        free = []
        for path in self._borrowed.pop(borrower, ()):
            self._borrowers[path].discard(borrower)
            if not self._borrowers[path]:
                del self._borrowers[path]
                if path in self._given_up:
                    self._given_up.discard(path)
                    free.append(Checkpoint(path))
        return free
