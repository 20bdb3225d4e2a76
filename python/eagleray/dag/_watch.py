"""Hearing of the end of other processes: one thread a process, which sleeps in the kernel until one ends."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable


class _Watcher:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._poll = select.poll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._bell, select.POLLIN)
        self._watched: dict[int, Callable[[], None]] = {}  # by pidfd
        threading.Thread(target=self._run, daemon=True, name="eagleray-watch").start()

    def add(self, pid: int, ended: Callable[[], None]) -> int | None:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        with self._lock:
            self._watched[fd] = ended
            self._poll.register(fd, select.POLLIN)
        os.eventfd_write(self._bell, 1)  # a poll() under way does not see what is registered
        return fd

    def remove(self, fd: int) -> Callable[[], None] | None:
        with self._lock:
            ended = self._watched.pop(fd, None)
            if ended is not None:
                self._poll.unregister(fd)
                os.close(fd)
            return ended

    def _run(self) -> None:
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._bell:
                    os.eventfd_read(fd)
                    continue
                if self._has_ended(fd):
                    ended = self.remove(fd)
                    if ended is not None:
                        ended()

    def _has_ended(self, fd: int) -> bool:
        """Asked again: a number that was closed while poll() ran may be another process's now."""
        now = select.poll()
        with self._lock:
            if fd not in self._watched:
                return False
            now.register(fd, select.POLLIN)
            return any(event & select.POLLIN for _, event in now.poll(0))


_watcher: tuple[int, _Watcher] | None = None  # of this process, not of the one that has forked it
_lock = threading.Lock()


def watch(pid: int, ended: Callable[[], None]) -> int | None:
    """Calls `ended` on a thread of its own when the process ends. What it gives is for forget(); None if the
    process has ended already: then `ended` is not called."""
    global _watcher
    with _lock:
        if _watcher is None or _watcher[0] != os.getpid():
            _watcher = (os.getpid(), _Watcher())
        return _watcher[1].add(pid, ended)


def forget(handle: int) -> None:
    """The call is not wanted any more."""
    if _watcher is not None and _watcher[0] == os.getpid():
        _watcher[1].remove(handle)
