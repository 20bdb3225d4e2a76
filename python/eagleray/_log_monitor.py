"""Prints the workers' output on the driver's terminal: `(name pid=N) line`, coloured on a terminal,
lines repeated by several workers folded."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

FOLD_WINDOW_S = 5.0
_MARK = "\x01eagleray-name:"  # a worker says so what its next lines belong to
_COLOURS = (36, 35, 33, 32, 34)


class LogFolder:
    """Prefixes lines and folds repetitions. Pure but for `clock`, which gives seconds."""

    def __init__(
        self, clock: Any = time.monotonic, colour: bool = False, fold: bool = True
    ) -> None:
        self._clock = clock
        self._colour = colour
        self._fold = fold
        self._names: dict[int, str] = {}
        self._seen: dict[str, tuple[float, int, int]] = {}  # line: first time, first pid, repeats

    def _prefix(self, pid: int) -> str:
        name = self._names.get(pid)
        text = f"({name} pid={pid})" if name else f"(pid={pid})"
        if self._colour:
            return f"\x1b[{_COLOURS[pid % len(_COLOURS)]}m{text}\x1b[0m"
        return text

    def feed(self, pid: int, text: str) -> list[str]:
        """Lines to print for `text`, whole lines of process `pid`."""
        out = self.flush()
        for line in text.splitlines():
            if line.startswith(_MARK):
                self._names[pid] = line[len(_MARK) :]
                continue
            known = self._seen.get(line)
            if self._fold and known is not None and known[1] != pid and line.strip():
                self._seen[line] = (known[0], known[1], known[2] + 1)
                continue
            self._seen[line] = (self._clock(), pid, 0)
            out.append(f"{self._prefix(pid)} {line}" if pid else line)  # 0: the node itself
        return out

    def flush(self, everything: bool = False) -> list[str]:
        """Summaries of lines that were folded and whose window has passed."""
        now = self._clock()
        out = []
        for line, (since, pid, repeats) in list(self._seen.items()):
            if not everything and now - since < FOLD_WINDOW_S:
                continue
            if repeats:
                out.append(f"{self._prefix(pid)} {line} [repeated {repeats}x across cluster]")
            del self._seen[line]
        return out


_folder: LogFolder | None = None
_lock = threading.Lock()


def _print(chunks: list[tuple[int, bool, str]], last: bool = False) -> None:
    with _lock:
        assert _folder is not None
        for pid, is_error, text in chunks:
            stream = sys.stderr if is_error else sys.stdout
            for line in _folder.feed(pid, text):
                print(line, file=stream)
            stream.flush()
        for line in _folder.flush(last):
            print(line, flush=True)


def _run(core: Any) -> None:
    while not core.exiting():
        try:
            _print(core.take_log_lines())
        except (OSError, ValueError):  # the terminal is gone
            return


def start(core: Any) -> None:
    global _folder
    _folder = LogFolder(
        colour=sys.stdout.isatty() and os.environ.get("NO_COLOR") is None,
        fold=os.environ.get("RAY_DEDUP_LOGS", "1") != "0",
    )
    threading.Thread(target=_run, args=(core,), daemon=True, name="eagleray-logs").start()


def drain(core: Any) -> None:
    """Prints what has arrived and not been printed, at the end."""
    if _folder is None:
        return
    time_left = 3
    while time_left:
        chunks = core.take_log_lines()
        _print(chunks, last=not chunks)
        if not chunks:
            return
        time_left -= 1
