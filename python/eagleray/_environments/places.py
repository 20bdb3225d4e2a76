"""Where on the disk a directory of many files is made. ext4 does not give a file number out again for some minutes, and
looks at each of these one by one for every file that is made near them: after 10,000 files were removed, making
10,000 others beside them takes 5 s of the processor instead of 0.2 s."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import time

_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  # of ioctl(), as <linux/fs.h>
_TOP_DIRECTORY = 0x20000
_TRIES = 6
_PROBES = 3
_QUICK_NS = 50_000  # of the processor, for a file; 10 us is usual


def make_directory(path: str) -> None:
    """A directory, in a place that takes new files quickly."""
    parent, name = os.path.split(path)
    os.makedirs(parent, exist_ok=True)
    _spread(parent)
    candidates: dict[str, int] = {}
    try:
        for number in range(_TRIES):
            candidate = os.path.join(parent, f"{name}.{number}")
            os.mkdir(candidate)
            candidates[candidate] = _QUICK_NS + 1
            candidates[candidate] = _probe(candidate)
            if candidates[candidate] <= _QUICK_NS:
                break
        best = min(candidates, key=lambda each: candidates[each])
        os.rename(best, path)
        del candidates[best]
    finally:
        for candidate in candidates:
            shutil.rmtree(candidate, ignore_errors=True)


def _spread(directory: str) -> None:
    """Has ext4 make the directories in this one far from each other. Others do not know of it."""
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        (flags,) = struct.unpack("l", fcntl.ioctl(fd, _GET_FLAGS, struct.pack("l", 0)))
        if not flags & _TOP_DIRECTORY:
            fcntl.ioctl(fd, _SET_FLAGS, struct.pack("l", flags | _TOP_DIRECTORY))
    except OSError:
        pass
    finally:
        os.close(fd)


def _probe(directory: str) -> int:
    """Nanoseconds of the processor for a file."""
    least = 1 << 62
    for number in range(_PROBES):
        path = os.path.join(directory, f".{number}")
        began = time.thread_time_ns()
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
        least = min(least, time.thread_time_ns() - began)
        os.unlink(path)
    return least
