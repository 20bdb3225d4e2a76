"""A worker's sys.stdout and sys.stderr. They say by a mark, a line that no terminal shows, which task or actor
the next lines belong to (src/shell/output_lines.h reads it), and have everything out before a task's answer."""

from __future__ import annotations

import io
import sys
from typing import Any

_MARK = "\x01eagleray-name:"


class _Stream(io.TextIOWrapper):
    def __init__(self, fd: int, core: Any) -> None:
        super().__init__(
            open(fd, "wb", closefd=False),
            encoding="utf-8",
            errors="backslashreplace",
            line_buffering=True,
        )
        self._core = core
        self._named = ""
        self._line_is_open = False

    def write(self, text: str) -> int:
        if not text:
            return 0
        name = _actor_name or self._core.running_name() or self._named
        before = "" if name == self._named else self._mark(name)
        self._line_is_open = text[-1] != "\n"
        if self._line_is_open:
            self._core.before_next_answer(flush)
        super().write(before + text)
        return len(text)

    def _mark(self, name: str) -> str:
        self._named = name
        return ("\n" if self._line_is_open else "") + f"{_MARK}{name}\n"

    def name_actor(self, name: str) -> None:
        """At once, for what does not come through here: other languages, child processes."""
        super().write(self._mark(name))
        self.flush()


_actor_name = ""


def start(core: Any) -> None:
    """Takes the place of this worker's standard streams."""
    sys.stdout = _Stream(1, core)
    sys.stderr = _Stream(2, core)


def name_actor(name: str) -> None:
    """This worker's output is from now on that of `name`, a class or an actor's repr()."""
    global _actor_name
    _actor_name = name = " ".join(name.split())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _Stream):
            stream.name_actor(name)


def flush() -> None:
    """Never raises: a task may have closed or replaced its streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
