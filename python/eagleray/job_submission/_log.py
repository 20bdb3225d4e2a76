"""The log of a job: a file that its command writes by itself. What is beyond the limit is given back to the disk at the
file's beginning, and the rest stays where it is: the command goes on with its descriptor, and readers with their
offsets. A file system that cannot do this keeps all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

PART_BYTES = 64 << 10
_BLOCK = 64 << 10  # a multiple of file systems' blocks
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # of fallocate(), as <linux/falloc.h>


def limit_of(settings: dict[str, float]) -> int:
    """Bytes: as many as a worker's stream may have."""
    return int(settings["log_file_bytes_max"] * (1 + settings["log_old_parts_max"]))


class Limited:
    """Keeps a log within `limit` bytes, when it is asked to."""

    def __init__(self, path: str, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._dropped = 0

    def keep(self) -> None:
        """Beyond the limit the older half goes, so that this is not done for each line."""
        try:
            size = os.stat(self._path).st_size
            if size - self._dropped > self._limit:
                begin = (size - self._limit // 2) // _BLOCK * _BLOCK
                if begin > self._dropped:
                    _drop(self._path, begin)
                    self._dropped = begin
        except OSError:
            pass  # the file is gone, or its file system keeps all


def _drop(path: str, end: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if libc.fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, 0, end) != 0:
            raise OSError(ctypes.get_errno(), "fallocate")
    finally:
        os.close(fd)


def begin_of(fd: int, position: int = 0) -> int:
    """The offset of the first byte from `position` on that has not been dropped."""
    try:
        return os.lseek(fd, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing there yet
            return max(position, os.lseek(fd, 0, os.SEEK_END))
        return position


def read_from(path: str, position: int) -> tuple[bytes, int]:
    """What stands at an offset, some of it, and the offset behind that. What was dropped there is a line that says so.
    No such file: nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b"", position
    try:
        while True:
            begin = begin_of(fd, position)
            part = os.pread(fd, PART_BYTES, begin)
            if begin_of(fd, position) == begin:  # else some of it was dropped meanwhile
                break
    finally:
        os.close(fd)
    if begin == position or not part:
        return part, position + len(part)
    whole_lines = part.partition(b"\n")[2] or part.lstrip(b"\0")
    said = (
        f"[eagleray: some {begin - position} bytes before this line were dropped to keep the log within its limit "
        "(settings log_file_bytes_max, log_old_parts_max)]\n"
    )
    return said.encode() + whole_lines, begin + len(part)


def parts(path: str) -> Iterator[bytes]:
    """All that stands there now."""
    position = 0
    while True:
        part, position = read_from(path, position)
        if not part:
            return
        yield part
