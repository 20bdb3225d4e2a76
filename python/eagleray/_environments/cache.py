"""The cache: one directory per user and machine, in which packages and built environments lie by the hash of what
they are made of. Safe against several clusters at once and against a SIGKILL at any moment: who makes an entry
holds its lock, makes it aside and gives it its name last; who uses one shares its lock, and the kernel lets go
of locks when a process ends, however it ends. A process that keeps many entries for long, a driver what it has shipped,
lists them in a file of its own and locks that one: a descriptor, however many."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

_READY = ".eagleray-ready"  # in a directory that cannot be moved once it is made
_LEFT = ".left"  # ends the name of what could not be removed


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
        self._locks = os.path.join(directory, "locks")
        self._keepers = os.path.join(directory, "keepers")
        self._keeper: int | None = None  # this process's, locked
        self._kept: set[str] = set()
        self._mutex = threading.Lock()
        for folder in (directory, self._locks, self._keepers):
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
        lock = _locked(self._lock_path(kind, key), fcntl.LOCK_SH)
        if not _is_ready(path):  # removed in between
            os.close(lock)
            return None
        os.utime(lock)
        return Held(path, lock)

    def make(
        self, kind: str, key: str, fill: Callable[[str], int | None], *, in_place: bool = False
    ) -> Held:
        """The entry, made by fill(path) if it is not there; others who want it wait meanwhile. fill gives the
        entry's bytes, or None: they are counted. in_place: what is made knows its path and cannot be moved. Raises
        what `fill` raises, and then nothing is left."""
        while True:
            found = self.find(kind, key)
            if found is not None:
                return found
            lock_path = self._lock_path(kind, key)
            lock = _locked(lock_path, fcntl.LOCK_EX)
            path = self.path(kind, key)
            try:
                if not _is_ready(path):
                    size = self._fill(path, fill, in_place)
                    _note_size(lock, bytes_in(path) if size is None else size)
            finally:
                if not _is_ready(path):
                    os.unlink(lock_path)
                os.close(lock)

    @contextlib.contextmanager
    def alone(self, kind: str, key: str, waits: Callable[[], object]) -> Iterator[Held]:
        """A directory that one process at a time changes, as long as the block takes. It stays for the next one, but
        when the block raises or its process dies: then it may be half-changed, and the next one gets an empty one.
        A program that the block starts and that may outlive it is given the lock, too. Its bytes are those of files
        that have no other name. waits: called when another process is at it, before waiting for that."""
        lock_path = self._lock_path(kind, key)
        try:
            lock = _locked(lock_path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            lock = _locked(lock_path, fcntl.LOCK_EX)
        try:
            path = self.path(kind, key)
            if not _is_ready(path):
                clear_away(path)
                os.makedirs(path)
            _unmark(path)
            yield Held(path, lock)
            _note_size(lock, bytes_in(path, names_max=1))
            _mark(path)
        finally:
            os.close(lock)

    def keep(self, held: Held) -> None:
        """Keeps an entry until this process ends, and lets go of its lock."""
        name = _name_of(held.path)
        with self._mutex:
            if name not in self._kept:
                if self._keeper is None:
                    self._keeper = self._make_keeper()
                os.write(self._keeper, f"{name}\n".encode())
                self._kept.add(name)
        held.release()

    def _make_keeper(self) -> int:
        while True:
            fd, path = tempfile.mkstemp(dir=self._keepers)
            os.close(fd)
            try:
                keeper = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
                fcntl.flock(keeper, fcntl.LOCK_EX)
            except FileNotFoundError:  # somebody has cleared up
                continue
            if _is_still(path, keeper):
                return keeper
            os.close(keeper)

    def _kept_by_all(self) -> set[str]:
        """By processes that live; the lists of others are removed. Asked with an entry's lock held, so that nobody
        begins to keep it."""
        names: set[str] = set()
        for each in os.listdir(self._keepers):
            path = os.path.join(self._keepers, each)
            try:
                keeper = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            with open(keeper) as file:
                try:
                    fcntl.flock(keeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    names.update(file.read().splitlines())
                else:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
        return names

    def _fill(self, path: str, fill: Callable[[str], int | None], in_place: bool) -> int | None:
        aside = path if in_place else path + ".aside"
        for left in (path, path + ".aside"):  # of whoever was killed at it
            clear_away(left)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            size = fill(aside)
            if in_place:
                _mark(aside)
            else:
                os.rename(aside, path)
            return size
        except BaseException:
            _remove(aside)
            raise

    def _lock_path(self, kind: str, key: str) -> str:
        return os.path.join(self._locks, f"{kind}@{key}")

    def evict(
        self,
        limit: int,
        kinds: Container[str] | None = None,
        before: Callable[[str], object] = lambda path: None,
    ) -> list[str]:
        """Removes what was not used for longest and is not in use until the rest has at most `limit` bytes, and
        what was left half-made. kinds: of these only. before: called with the path of what is about to be removed.
        Gives the paths that were removed."""
        self._kept_by_all()  # so that the lists of the dead do not pile up
        self._list_left(kinds)
        known = []
        for name in os.listdir(self._locks):
            kind, _, key = name.partition("@")
            if kinds is not None and kind not in kinds:
                continue
            path = os.path.join(self._locks, name)
            with contextlib.suppress(FileNotFoundError):
                known.append((os.stat(path).st_mtime_ns, kind, key))
        removed = []
        total = sum(self._size(kind, key) for _, kind, key in known)
        for _, kind, key in sorted(known):
            path = self.path(kind, key)
            ready, size = _is_ready(path), self._size(kind, key)
            if (ready and total <= limit) or not self._remove_unused(kind, key, before):
                continue
            if ready:
                removed.append(path)
                total -= size
            if kind in _LINKED:
                linked = (_LINKED[kind], "all")
                total -= self._size(*linked)
                self._count_again(*linked)
                total += self._size(*linked)
        return removed

    def _list_left(self, kinds: Container[str] | None) -> None:
        """Gives a lock to what clear_away() could not remove, and to what a program wrote where an entry had been
        removed: what has one is listed."""
        for path in glob.glob(os.path.join(glob.escape(self.directory), "*", "*")):
            kind, _, key = _name_of(path).partition("@")
            found = key.endswith(_LEFT) or (kind in IN_PLACE and not key.endswith(".aside"))
            if found and (kinds is None or kind in kinds):
                os.close(os.open(self._lock_path(kind, key), os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _count_again(self, kind: str, key: str) -> None:
        """Notes the size of what alone() makes: files of it may have lost a name. Not where somebody is at it, who
        does so himself."""
        path = self.path(kind, key)
        if not _is_ready(path):
            return
        with contextlib.suppress(BlockingIOError):
            lock = _locked(self._lock_path(kind, key), fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                used = os.fstat(lock)
                _note_size(lock, bytes_in(path, names_max=1))
                os.utime(lock, ns=(used.st_atime_ns, used.st_mtime_ns))
            finally:
                os.close(lock)

    def _size(self, kind: str, key: str) -> int:
        if not _is_ready(self.path(kind, key)):
            return 0
        try:
            with open(self._lock_path(kind, key)) as file:
                return int(file.read() or 0)
        except (OSError, ValueError):
            return 0

    def _remove_unused(self, kind: str, key: str, before: Callable[[str], object]) -> bool:
        lock_path = self._lock_path(kind, key)
        try:
            lock = _locked(lock_path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            path = self.path(kind, key)
            if _name_of(path) in self._kept_by_all():
                return False
            if _is_ready(path):
                before(path)
            _unmark(path)  # first, so that half of it is not taken for all
            _remove(path + ".aside")
            _remove(path)
            os.unlink(lock_path)
            return True
        finally:
            os.close(lock)


def _name_of(path: str) -> str:
    folder, key = os.path.split(path)
    return f"{os.path.basename(folder)}@{key}"


def _locked(path: str, how: int) -> int:
    """The file, locked. BlockingIOError, with LOCK_NB, where another process has it."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, how)
            if _is_still(path, lock):
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)  # whoever had it has removed it


def _is_still(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _is_ready(path: str) -> bool:
    """A file or a moved directory has its name only when it is whole; one made in place has a mark."""
    if path.endswith(_LEFT):
        return False
    if os.path.basename(os.path.dirname(path)) in IN_PLACE:
        return os.path.exists(os.path.join(path, _READY))
    return os.path.exists(path)


IN_PLACE = ("python", "conda", "conda_packages")  # kinds of entries that cannot be moved
_LINKED = {"conda": "conda_packages"}  # whose files are also files of what alone() makes


def _mark(path: str) -> None:
    """As ready."""
    with open(os.path.join(path, _READY + ".aside"), "w"):
        pass
    os.rename(os.path.join(path, _READY + ".aside"), os.path.join(path, _READY))


def _unmark(path: str) -> None:
    _remove(os.path.join(path, _READY))


def _note_size(lock: int, size: int) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(size).encode(), 0)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)


def clear_away(path: str) -> None:
    """Removes what is there. What cannot be removed gets another name and is in nobody's way; the next call and
    evict() try it again."""
    for each in (path, *glob.glob(f"{glob.escape(path)}.*{_LEFT}")):
        _remove(each)
    if os.path.lexists(path):
        folder, name = os.path.split(path)
        os.rename(path, tempfile.mkdtemp(prefix=f"{name}.", suffix=_LEFT, dir=folder))


def bytes_in(path: str, names_max: int = sys.maxsize) -> int:
    """Bytes of a file, or of all files below a directory that have so many names (hard links) at most."""
    info = os.lstat(path)
    if not stat.S_ISDIR(info.st_mode):
        return info.st_size
    total = 0
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                total += bytes_in(entry.path, names_max)
            elif (info := entry.stat(follow_symlinks=False)).st_nlink <= names_max:
                total += info.st_size
    return total
