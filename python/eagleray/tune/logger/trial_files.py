"""Files that the file loggers write: opened once, kept open while their trial runs, written as bytes as they come."""

from __future__ import annotations

import errno
import os
from typing import Any

from ..utils.writer import AT_ONCE

OPEN_MAX = (
    256  # files; trials that wait have theirs, too: then the one that was opened first is closed
)


class TrialFiles:
    """Of one logger (owner). What is asked for is done by the writer, in order; without an experiment, at once."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        self.writer: Any = AT_ONCE
        self._open: dict[str, int] = {}  # descriptors by path; the writer's

    def open(self, path: str) -> None:
        """Makes the file, if it is not there."""
        self.writer.do(self._owner, self._descriptor, path)

    def append(self, path: str, text: str) -> None:
        self.writer.do(self._owner, self._append, path, text)

    def replace(self, path: str, content: str | bytes) -> None:
        """Writes it anew, whole."""
        self.writer.do(self._owner, self._replace, path, content)

    def close(self, path: str) -> None:
        self.writer.do(self._owner, self._close, path)

    def _descriptor(self, path: str) -> int:
        known = self._open.get(path)
        if known is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            known = _open_in_directory(path, flags)
            if len(self._open) >= OPEN_MAX:
                self._close(next(iter(self._open)))
            self._open[path] = known
        return known

    def _append(self, path: str, text: str) -> None:
        _write_all(self._descriptor(path), text.encode(errors="backslashreplace"))

    def _replace(self, path: str, content: str | bytes) -> None:
        self._close(path)
        blob = content if isinstance(content, bytes) else content.encode(errors="backslashreplace")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        file = _open_in_directory(path, flags)
        try:
            _write_all(file, blob)
        finally:
            os.close(file)

    def _close(self, path: str) -> None:
        file = self._open.pop(path, None)
        if file is not None:
            os.close(file)


def _open_in_directory(path: str, flags: int) -> int:
    """Opens it, in a directory that is made if it is not there."""
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o666)


def _write_all(file: int, blob: bytes) -> None:
    while blob:
        written = os.write(file, blob)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        blob = blob[written:]
