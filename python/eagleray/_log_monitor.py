"""Prints what workers print on the driver's terminal, or under the running cell of a notebook. A thread of the
driver that sleeps while nothing is printed."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from ._log_folder import FoldOptions, LogFolder, Printed

# What a driver waits for its node at the end, and a notebook's cell at its end. Usually a millisecond; more
# where the machine is busy.
FLUSH_S = 10.0
# After Ctrl-C no more is printed than fits into this: the prompt is waited for.
HURRIED_S = 0.2


_BAR = "__ray_tqdm_magic_token__"  # in a line that is a progress bar's state


class LogMonitor:
    """From start() to finish(), which closes the connection."""

    def __init__(self, core: Any) -> None:
        self._core = core
        # Of a terminal, if either stream is one: lines of both have the same prefix.
        terminal = any(
            stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr)
        )
        self._folder = LogFolder(FoldOptions.of(os.environ, terminal))
        self._lock = threading.Lock()  # of taking and printing, so that the order stays
        self._shell = _interactive_shell()
        self._stops = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="eagleray-logs")

    def start(self) -> None:
        if self._shell is not None:
            self._shell.events.register("post_run_cell", self._end_cell)
        self._thread.start()

    def finish(self, end_node: Any, *, node_ends: bool, hurried: bool) -> None:
        """Prints all that workers have printed, or, hurried, what can be printed at once; end_node() ends the
        node, if it is ours to end."""
        self._stops = hurried
        try:
            if not hurried:
                self._core.flush_log_lines(True, FLUSH_S)
        finally:
            if self._shell is not None:
                self._shell.events.unregister("post_run_cell", self._end_cell)
            end_node()
            if node_ends:
                self._core.wait_for_node_end(FLUSH_S)
            with self._lock:
                self._print(everything=True)

    def _run(self) -> None:
        timeout: float | None = None
        while self._core.wait_for_log_lines(timeout):
            with self._lock:
                if self._shell is not None:
                    _enter_cell(self._shell)
                if not self._print():
                    return
                timeout = self._folder.next_flush(time.monotonic())

    def _end_cell(self, *_: Any) -> None:
        """What the cell's tasks have printed appears under it, not under the next."""
        self._core.flush_log_lines(False, FLUSH_S)
        with self._lock:
            self._print()

    def _print(self, everything: bool = False) -> bool:
        """What has come, with the lock held. False: there is no terminal any more."""
        began = time.monotonic()
        left = 0
        try:
            for pid, error, name, text in self._core.take_log_lines():
                if _BAR in text:
                    from .experimental.tqdm_ray import take_states

                    text = take_states(text)
                    if not text:
                        continue
                if self._stops and time.monotonic() - began > HURRIED_S:
                    left += text.count("\n")
                else:
                    _write(self._folder.feed(began, pid, error, name, text))
            _write(self._folder.flush(began, everything))
            if left:
                _write([(True, f"eagleray: {left} lines of workers are in their logs only")])
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        except (AttributeError, OSError, ValueError):  # None, gone, closed
            return False
        return True


def _write(printed: Printed) -> None:
    for error, line in printed:
        stream = sys.stderr if error else sys.stdout
        try:
            stream.write(line + "\n")
        except UnicodeEncodeError:
            encoding = stream.encoding
            stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _interactive_shell() -> Any:
    """IPython's, in a notebook or a terminal; None elsewhere."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _enter_cell(shell: Any) -> None:
    """What this thread prints belongs to the cell that runs now, or ran last."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return
    parent = kernel.get_parent("shell")
    for stream in (sys.stdout, sys.stderr):
        # ipykernel 6 otherwise leaves a thread with the cell that started it.
        enter = getattr(stream, "set_thread_parent", None) or getattr(stream, "set_parent", None)
        if enter is not None:
            enter(parent)
