"""How far the workers of a pool have come, in a page that they share with its process: of a worker that has died it
says which chunks had begun. A word a worker, written by it alone: the number of the message that it runs, and how
many chunks of that it has begun."""

from __future__ import annotations

import mmap
import os
from typing import NamedTuple

WORDS = 4096  # workers of one pool at a time; those beyond say nothing
CHUNK_BITS = 16  # of a word: the rest is the message's number


class Seat(NamedTuple):
    """A worker's place in the page of process `pid`."""

    pid: int
    fd: int
    inode: int
    place: int


class Page:
    """The pool's side; freed with it."""

    def __init__(self) -> None:
        fd = os.memfd_create("eagleray-pool", os.MFD_CLOEXEC)
        os.ftruncate(fd, 8 * WORDS)
        self._file = os.fdopen(fd, "rb", buffering=0)
        self._words = memoryview(mmap.mmap(fd, 8 * WORDS)).cast("Q")
        self._free = list(range(WORDS - 1, -1, -1))

    def take(self) -> Seat | None:
        """A free place, which says nothing; None: there is none."""
        if not self._free:
            return None
        place = self._free.pop()
        self._words[place] = 0
        return Seat(os.getpid(), self._file.fileno(), os.fstat(self._file.fileno()).st_ino, place)

    def give_back(self, seat: Seat | None) -> None:
        """Its worker has ended."""
        if seat is not None:
            self._free.append(seat.place)

    def begun(self, seat: Seat | None, message: int) -> int | None:
        """How many chunks of a message the worker there has begun; None: it could not write that down."""
        word = self._words[seat.place] if seat is not None else 0
        if not word:
            return None
        at, chunks = word >> CHUNK_BITS, word % (1 << CHUNK_BITS)
        if at != message:
            return (1 << CHUNK_BITS) if at > message else 0
        return chunks


class Progress:
    """The worker's side."""

    def __init__(self, seat: Seat | None) -> None:
        self._word: memoryview | None = None
        if seat is None:
            return
        try:
            fd = os.open(f"/proc/{seat.pid}/fd/{seat.fd}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return  # in a container of its own
        try:
            if os.fstat(fd).st_ino == seat.inode:
                words = memoryview(mmap.mmap(fd, 8 * WORDS)).cast("Q")
                self._word = words[seat.place : seat.place + 1]
                self._word[0] = 1  # it can say: of message 0, which there is none of
        finally:
            os.close(fd)

    def begin(self, message: int, chunk: int) -> None:
        """Chunk number `chunk` of a message begins now."""
        if self._word is not None:
            self._word[0] = message << CHUNK_BITS | (chunk + 1)
