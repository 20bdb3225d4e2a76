"""The cache: one directory per user and machine, in which packages and built environments lie by the hash of what
they are made of. Safe against several clusters at once and against a SIGKILL at any moment: who makes an entry
holds its lock, makes it aside and gives it its name last; who uses one shares its lock, and the kernel lets go
of locks when a process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Container
from typing import NamedTuple

_READY = ".eagleray-ready"  # in a directory that cannot be moved once it is made


def default_directory() -> str:
    """EAGLERAY_CACHE_DIR, else eagleray/ in the user's cache directory."""
    given = os.environ.get("EAGLERAY_CACHE_DIR")
    if given:
        return os.path.abspath(given)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "eagleray")


class Held(NamedTuple):
    """A made entry that nobody removes while `lock`, a descriptor, is open in some process."""

    path: str
    lock: int

    def release(self) -> None:
        os.close(self.lock)


class Cache:
    def __init__(self, directory: str) -> None:
        self.directory = directory
        for folder in (directory, os.path.join(directory, "locks")):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        info = os.stat(directory)
        if info.st_uid != os.geteuid() or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(
                f"{directory} belongs to another user, or others may write in it: set EAGLERAY_CACHE_DIR to a "
                "directory of yours"
            )

    def path(self, kind: str, key: str) -> str:
        return os.path.join(self.directory, kind, key)

    def find(self, kind: str, key: str) -> Held | None:
        """The entry, if it is there."""
        path = self.path(kind, key)
        if not _is_ready(path):
            return None
        lock = self._open_lock(kind, key)
        fcntl.flock(lock, fcntl.LOCK_SH)
        if not _is_ready(path):  # removed in between
            os.close(lock)
            return None
        os.utime(lock)
        return Held(path, lock)

    def make(
        self, kind: str, key: str, fill: Callable[[str], None], *, in_place: bool = False
    ) -> Held:
        """The entry, made by fill(path) if it is not there; others who want it wait meanwhile. in_place: what
        is made knows its path and cannot be moved. Raises what `fill` raises, and then nothing is left."""
        while True:
            found = self.find(kind, key)
            if found is not None:
                return found
            lock = self._open_lock(kind, key)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                path = self.path(kind, key)
                if not _is_ready(path):
                    self._fill(path, fill, in_place)
                    os.ftruncate(lock, 0)
                    os.pwrite(lock, str(bytes_in(path)).encode(), 0)
            finally:
                os.close(lock)

    def _fill(self, path: str, fill: Callable[[str], None], in_place: bool) -> None:
        aside = path if in_place else path + ".aside"
        for left in (path, path + ".aside"):  # of whoever was killed at it
            _remove(left)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            fill(aside)
            if in_place:
                with open(os.path.join(aside, _READY + ".aside"), "w"):
                    pass
                os.rename(os.path.join(aside, _READY + ".aside"), os.path.join(aside, _READY))
            else:
                os.rename(aside, path)
        except BaseException:
            _remove(aside)
            raise

    def _open_lock(self, kind: str, key: str) -> int:
        path = os.path.join(self.directory, "locks", f"{kind}@{key}")
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def evict(self, limit: int, kinds: Container[str] | None = None) -> list[str]:
        """Removes what was not used for longest and is not in use until the rest has at most `limit` bytes, and
        what was left half-made. kinds: of these only. Gives the paths that were removed."""
        folder = os.path.join(self.directory, "locks")
        known = []
        for name in os.listdir(folder):
            kind, _, key = name.partition("@")
            if kinds is not None and kind not in kinds:
                continue
            info = os.stat(os.path.join(folder, name))
            known.append((info.st_mtime_ns, kind, key, self._size(os.path.join(folder, name))))
        total = sum(size for _, kind, key, size in known if _is_ready(self.path(kind, key)))
        removed = []
        for _, kind, key, size in sorted(known):
            path = self.path(kind, key)
            ready = _is_ready(path)
            if (ready and total <= limit) or not self._remove_unused(kind, key):
                continue
            if ready:
                total -= size
                removed.append(path)
        return removed

    @staticmethod
    def _size(lock_path: str) -> int:
        try:
            with open(lock_path) as file:
                return int(file.read() or 0)
        except (OSError, ValueError):
            return 0

    def _remove_unused(self, kind: str, key: str) -> bool:
        lock = self._open_lock(kind, key)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path = self.path(kind, key)
            _remove(os.path.join(path, _READY))  # first, so that half of it is not taken for all
            _remove(path + ".aside")
            _remove(path)
            return True
        except BlockingIOError:
            return False
        finally:
            os.close(lock)


def _is_ready(path: str) -> bool:
    """A file or a moved directory has its name only when it is whole; one made in place has a mark."""
    if os.path.basename(os.path.dirname(path)) in IN_PLACE:
        return os.path.exists(os.path.join(path, _READY))
    return os.path.exists(path)


IN_PLACE = ("python", "conda")  # kinds of entries that cannot be moved


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)


def bytes_in(path: str) -> int:
    """Bytes of a file, or of all files below a directory."""
    info = os.lstat(path)
    if not stat.S_ISDIR(info.st_mode):
        return info.st_size
    total = 0
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                total += bytes_in(entry.path)
            else:
                total += entry.stat(follow_symlinks=False).st_size
    return total
