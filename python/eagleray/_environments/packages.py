"""Packages: a directory as one content-addressed file. The name is Ray's (`_ray_pkg_<hash>.zip`); inside, the
files lie one behind the other with an index at the end, so that 10,000 of them are written and read without a
format's ado for each. Archives that users bring (.zip, .tar.gz ...) are unpacked, too."""

from __future__ import annotations

import hashlib
import itertools
import json
import mmap
import os
import stat
import struct
import tarfile
import zipfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO, NamedTuple

from .._places import Files, make_directory
from .ignore import Patterns, patterns_in

PREFIX = "_ray_pkg_"
FILE_BYTES_WARN = 10 << 20  # as in Ray
WORKING_DIR_ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
ARCHIVES = (".whl", *WORKING_DIR_ARCHIVES)
_MAGIC = b"eagleray package 1\n"
_LENGTH = struct.Struct("<Q")
_DIRECTORY = -1  # in the place of a size
_CHUNK = 4 << 20


class File(NamedTuple):
    name: str  # relative to the root, / between its parts
    path: str
    size: int  # _DIRECTORY for one that is empty
    mtime_ns: int
    inode: int
    mode: int


class TooLarge(ValueError):
    """A directory has more bytes than a package may have."""


class Listing(NamedTuple):
    files: list[File]
    total: int

    def signature(self) -> str:
        """Changes whenever a file is added, removed, replaced or written to."""
        seen = hashlib.blake2b(digest_size=20)
        for file in self.files:
            seen.update(repr((file.name, *file[2:])).encode("utf-8", "surrogateescape"))
        return seen.hexdigest()

    def newest(self) -> int:
        return max((file.mtime_ns for file in self.files), default=0)


def list_files(root: str, excludes: list[str], defaults: list[str]) -> Listing:
    """All files under `root` that are not left out, in order. Links are followed, but not in circles."""
    top = Patterns([*defaults, *excludes])
    files = sorted(_walk(root, "", [("", top)], frozenset()))
    return Listing(files, sum(max(0, file.size) for file in files))


def _walk(
    directory: str, prefix: str, patterns: list[tuple[str, Patterns]], above: frozenset[Any]
) -> Iterator[File]:
    here = os.stat(directory)
    identity = (here.st_dev, here.st_ino)
    if identity in above:
        return
    with os.scandir(directory) as scan:
        entries = list(scan)
    local = patterns_in(directory, [entry.name for entry in entries])
    if local:
        patterns = [*patterns, *((prefix, each) for each in local)]
    if not entries and prefix:
        yield File(prefix[:-1], directory, _DIRECTORY, 0, 0, here.st_mode)
    for entry in entries:
        name = prefix + entry.name
        is_directory = entry.is_dir()
        if any(each.match(name[len(start) :], is_directory) for start, each in patterns):
            continue
        if is_directory:
            yield from _walk(entry.path, name + "/", patterns, above | {identity})
            continue
        try:
            info = entry.stat()
        except OSError:  # a link that leads nowhere
            continue
        if stat.S_ISREG(info.st_mode):
            yield File(name, entry.path, info.st_size, info.st_mtime_ns, info.st_ino, info.st_mode)


def check_size(listing: Listing, root: str, field: str, limit: int) -> None:
    """TooLarge, which names what takes the room."""
    if listing.total <= limit:
        return
    largest = sorted(listing.files, key=lambda file: -file.size)[:3]
    folders: dict[str, int] = {}
    for file in listing.files:
        if "/" in file.name:
            top = file.name.split("/", 1)[0] + "/"
            folders[top] = folders.get(top, 0) + max(0, file.size)
    named = [f"{file.name} ({_mib(file.size)})" for file in largest]
    named += [
        f"{name} ({_mib(size)} in all)"
        for name, size in sorted(folders.items(), key=lambda each: -each[1])[:2]
    ]
    raise TooLarge(
        f"{field} {root} has {_mib(listing.total)} in {len(listing.files)} files, and a package may have "
        f"{_mib(limit)} (setting package_bytes_max). The largest: {', '.join(named)}. Leave out what the tasks "
        "do not need: runtime_env['excludes'] or a .gitignore or .rayignore in the directory"
    )


def _mib(size: float) -> str:
    return f"{size / (1 << 20):.2f} MiB"


def large_files(listing: Listing) -> list[str]:
    return [f"{f.name} ({_mib(f.size)})" for f in listing.files if f.size > FILE_BYTES_WARN]


def hash_and_pack(listing: Listing, out: BinaryIO, parent: str) -> str:
    """Writes the package and gives its hash, which is of names, modes and contents. parent: a name in front
    of all others, or ""."""
    index: list[tuple[str, int, int]] = []
    whole = hashlib.blake2b(digest_size=20)
    out.write(_MAGIC)
    with _Packing(out, whole) as packing:
        for file in listing.files:
            name = f"{parent}/{file.name}" if parent else file.name
            size = file.size if file.size == _DIRECTORY else packing.add(file)
            index.append((name, size, file.mode & 0o111))
    text = json.dumps(index).encode()
    whole.update(text)
    out.write(text + _LENGTH.pack(len(text)))
    return whole.hexdigest()


class _Packing:
    """Reads files one behind the other into buffers; a thread of its own hashes and writes those that are full."""

    def __init__(self, out: BinaryIO, whole: Any) -> None:
        self._out = out
        self._whole = whole
        self._full: deque[Future[None]] = deque()
        self._buffers = itertools.cycle([memoryview(bytearray(_CHUNK)) for _ in range(2)])
        self._buffer = next(self._buffers)
        self._used = 0
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> _Packing:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        try:
            if kind is None:
                self._hand_over()
                while self._full:
                    self._full.popleft().result()
        finally:
            self._thread.shutdown(cancel_futures=True)

    def add(self, file: File) -> int:
        """Its bytes, which may have become others than when it was listed."""
        size = 0
        fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while True:
                room = len(self._buffer) - self._used
                count = os.readv(fd, [self._buffer[self._used :]])
                size += count
                self._used += count
                if count == room:
                    self._hand_over()
                elif count == 0 or size == file.size:
                    return size
        finally:
            os.close(fd)

    def _hand_over(self) -> None:
        self._full.append(self._thread.submit(self._take, self._buffer[: self._used]))
        if len(self._full) == 2:
            self._full.popleft().result()
        self._buffer, self._used = next(self._buffers), 0

    def _take(self, content: memoryview) -> None:
        self._whole.update(content)
        self._out.write(content)


def file_hash(path: str) -> str:
    content = hashlib.blake2b(os.path.splitext(path)[1].encode(), digest_size=20)
    with open(path, "rb", buffering=0) as source:
        while chunk := source.read(_CHUNK):
            content.update(chunk)
    return content.hexdigest()


# ---- unpacking ----


class BadPackage(ValueError):
    """It is no package or archive, or not a whole one."""


def check_archive(path: str) -> None:
    """BadPackage for a file that unpack() would not know."""
    with open(path, "rb") as file:
        start = file.read(len(_MAGIC))
    if start != _MAGIC and not zipfile.is_zipfile(path) and not tarfile.is_tarfile(path):
        raise BadPackage(f"{path} is neither a package nor a .zip or .tar archive")


def unpack(path: str, directory: str, strip_top: bool = False) -> int | None:
    """Unpacks a package or archive into `directory`, which is made; gives the bytes of its files, if they are known.
    strip_top: without the one directory that all of an archive lies in, as Ray does with what is downloaded.
    BadPackage for what cannot be read or would lie outside of it."""
    make_directory(directory)
    with open(path, "rb") as file:
        start = file.read(len(_MAGIC))
    try:
        if start == _MAGIC:
            return _unpack_own(path, directory)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check_names(archive.namelist(), path)
                archive.extractall(directory)
                _restore_modes(archive, directory)
        elif tarfile.is_tarfile(path):
            with tarfile.open(path) as tar:
                _check_names(tar.getnames(), path)
                members = [m for m in tar.getmembers() if m.isfile() or m.isdir()]
                tar.extractall(directory, members)
        else:
            raise BadPackage(f"{path} is neither a package nor a .zip or .tar archive")
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        EOFError,
        struct.error,
        json.JSONDecodeError,
    ) as error:
        raise BadPackage(f"{path} cannot be read: {error}") from error
    if strip_top:
        _strip_top(directory)
    return None


def _check_names(names: list[str], path: str) -> None:
    for name in names:
        if name.startswith("/") or ".." in name.split("/"):
            raise BadPackage(f"{path} has a file outside of it: {name}")


def _restore_modes(archive: zipfile.ZipFile, directory: str) -> None:
    for info in archive.infolist():
        mode = info.external_attr >> 16 & 0o111
        if mode and not info.is_dir():
            target = os.path.join(directory, info.filename)
            os.chmod(target, os.stat(target).st_mode | mode)


def _unpack_own(path: str, directory: str) -> int:
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        Files(directory) as files,
    ):
        view = memoryview(data)
        try:
            (length,) = _LENGTH.unpack(view[-_LENGTH.size :])
            index = json.loads(bytes(view[-_LENGTH.size - length : -_LENGTH.size]))
            _check_names([name for name, _size, _mode in index], path)
            offset = len(_MAGIC)
            made: set[str] = set()
            for name, size, mode in index:
                target = os.path.join(directory, name)
                parent = target if size == _DIRECTORY else os.path.dirname(target)
                if parent not in made:
                    os.makedirs(parent, exist_ok=True)
                    made.add(parent)
                if size == _DIRECTORY:
                    continue
                with view[offset : offset + size] as content:
                    _write(files.make(target, 0o644 | mode), content)
                offset += size
            return offset - len(_MAGIC)
        finally:
            view.release()


def _write(fd: int, content: memoryview) -> None:
    try:
        done = 0
        while done < len(content):
            with content[done:] as rest:  # a view that is left keeps the package from being closed
                done += os.write(fd, rest)
    finally:
        os.close(fd)


def _strip_top(directory: str) -> None:
    names = [name for name in os.listdir(directory) if name != "__MACOSX"]
    if len(names) != 1 or not os.path.isdir(os.path.join(directory, names[0])):
        return
    inner = os.path.join(directory, names[0])
    aside = directory + ".top"
    os.rename(inner, aside)
    for name in os.listdir(aside):
        os.rename(os.path.join(aside, name), os.path.join(directory, name))
    os.rmdir(aside)


def unpack_wheel(path: str, directory: str) -> None:
    """What an installer does with a wheel: its files, those of its .data folders among them."""
    unpack(path, directory)
    for data in [name for name in os.listdir(directory) if name.endswith(".data")]:
        for kind in ("purelib", "platlib"):
            folder = os.path.join(directory, data, kind)
            if os.path.isdir(folder):
                for name in os.listdir(folder):
                    os.rename(os.path.join(folder, name), os.path.join(directory, name))
