"""Packages: directories that a client sends along with a job, as zip archives named by their contents. The cluster
keeps them in the session directory, unpacked, and a job's runtime environment names them as local directories."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import secrets
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

BYTES_MAX = 512 << 20  # of one package, as in Ray
UNPACKED_BYTES_MAX = 8 << 30
FOLDER = "packages"  # of a session directory
PREFIX = "gcs://"
_NAME = re.compile(r"_ray_pkg_[0-9a-zA-Z_.-]{8,120}\.(zip|whl|jar)")


def _path(session_dir: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a package, as _ray_pkg_0123456789abcdef.zip")
    return os.path.join(session_dir, FOLDER, name)


def exists(session_dir: str, name: str) -> bool:
    return os.path.exists(_path(session_dir, name))


def store(session_dir: str, name: str, parts: Iterable[bytes]) -> None:
    """Atomically: there whole, or not there. ValueError for what is no archive."""
    path = _path(session_dir, name)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{secrets.token_hex(4)}"
    try:
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
        if not zipfile.is_zipfile(temporary):
            raise ValueError(f"{name} is no zip archive")
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def local(session_dir: str, env: dict[str, Any]) -> dict[str, Any]:
    """The runtime environment with its packages as directories of this machine. ValueError for a package that
    nobody has sent."""
    env = dict(env)
    directory = env.get("working_dir")
    if isinstance(directory, str) and directory.startswith(PREFIX):
        env["working_dir"] = _unpacked(session_dir, directory)
    modules = env.get("py_modules")
    if isinstance(modules, list):
        env["py_modules"] = [
            _unpacked(session_dir, m) if isinstance(m, str) and m.startswith(PREFIX) else m
            for m in modules
        ]
    return env


def _unpacked(session_dir: str, uri: str) -> str:
    name = uri[len(PREFIX) :]
    path = _path(session_dir, name)
    if not os.path.exists(path):
        raise ValueError(f"the package {uri} is not here: upload it first")
    if name.endswith((".whl", ".jar")):
        return path
    folder = path[: -len(".zip")]
    if not os.path.isdir(folder):
        temporary = f"{folder}.{secrets.token_hex(4)}"
        try:
            _extract(path, temporary)
            os.rename(temporary, folder)
        except OSError:
            if not os.path.isdir(folder):  # another has been faster
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _extract(path: str, folder: str) -> None:
    """zipfile keeps names inside the folder; modes are kept without what would give rights away."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > UNPACKED_BYTES_MAX:
            raise ValueError(
                f"{os.path.basename(path)} is larger than {UNPACKED_BYTES_MAX} bytes unpacked"
            )
        for entry in entries:
            made = archive.extract(entry, folder)
            mode = (entry.external_attr >> 16) & 0o777
            if mode and not entry.is_dir():
                os.chmod(made, mode | 0o600)


def files_of(directory: str, excludes: Iterable[str] = ()) -> Iterator[str]:
    """Relative paths, sorted, without what `excludes` match: names, paths or patterns, as in .gitignore's simple
    lines. `.git` and byte code stay at home."""
    patterns = [p.rstrip("/").lstrip("/") for p in (".git", "__pycache__", *excludes) if p]

    def left_out(path: str) -> bool:
        name = os.path.basename(path)
        return any(fnmatch.fnmatch(path, p) or fnmatch.fnmatch(name, p) for p in patterns)

    for folder, folders, names in os.walk(directory):
        inside = os.path.relpath(folder, directory)
        inside = "" if inside == "." else inside + "/"
        folders[:] = sorted(f for f in folders if not left_out(inside + f))
        for name in sorted(names):
            if not left_out(inside + name) and os.path.isfile(os.path.join(folder, name)):
                yield inside + name


def uri_of(directory: str, excludes: Iterable[str] = (), prefix: str = "") -> str:
    """Named by what is in it. ValueError when it is not a directory or too large."""
    if not os.path.isdir(directory):
        raise ValueError(f"directory {directory} must be an existing directory")
    digest = hashlib.blake2b(prefix.encode(), digest_size=16)
    total = 0
    for name in files_of(directory, excludes):
        path = os.path.join(directory, name)
        total += os.path.getsize(path)
        if total > BYTES_MAX:
            raise ValueError(
                f"{directory} holds more than {BYTES_MAX >> 20} MiB (at {name}): name what is not needed in "
                "runtime_env['excludes']"
            )
        digest.update(f"\0{name}\0{os.stat(path).st_mode & 0o111}\0".encode())
        with open(path, "rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    return f"{PREFIX}_ray_pkg_{digest.hexdigest()}.zip"


def digest_of(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def create(directory: str, target: str, excludes: Iterable[str] = (), prefix: str = "") -> None:
    """`prefix`: a directory inside the archive that holds all."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in files_of(directory, excludes):
            path = os.path.join(directory, name)
            entry = zipfile.ZipInfo(os.path.join(prefix, name))
            entry.external_attr = (os.stat(path).st_mode & 0o777 | 0o100000) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            with open(path, "rb") as file, archive.open(entry, "w") as into:
                shutil.copyfileobj(file, into, 1 << 20)
