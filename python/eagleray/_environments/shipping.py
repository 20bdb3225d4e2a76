"""The driver's side: a runtime environment as its user wrote it becomes the text that travels. Directories are
packed into the cluster's store, files are read, functions pickled: nothing in the text depends on this process."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import Any

from .._files import write_whole
from .._processes import runs
from ..exceptions import RuntimeEnvSetupError
from . import fields, packages
from .cache import Cache, Held, default_directory
from .ignore import default_excludes
from .text import HOOK

logger = logging.getLogger("eagleray")

_RACE_NS = 50_000_000  # a file written to within this of being read may change without a new time


# ---- what becomes of a field ----


def prepare(env: dict[str, Any]) -> dict[str, Any]:
    """Checks `env` and replaces what only this process has. RuntimeEnvSetupError for what cannot be shipped."""
    env = {name: value for name, value in env.items() if value is not None}
    fields.check(env)
    excludes = list(env.get("excludes") or ())
    if env.get("working_dir"):
        env["working_dir"] = ship(os.fspath(env["working_dir"]), "working_dir", excludes)
    if env.get("py_modules"):
        env["py_modules"] = [
            ship(
                os.fspath(module)
                if isinstance(module, (str, os.PathLike))
                else fields.module_path(module),
                "py_modules",
                excludes,
            )
            for module in env["py_modules"]
        ]
    for name in ("pip", "uv"):
        if env.get(name):
            env[name] = _package_list(env[name])
            if not env[name]["packages"]:
                del env[name]
    if isinstance(env.get("conda"), str) and env["conda"].endswith((".yml", ".yaml")):
        with open(env["conda"], encoding="utf-8") as file:
            env["conda"] = {"file": file.read()}
    if "config" in env:
        env["config"] = dict(env["config"])
    hook = env.get("worker_process_setup_hook")
    if callable(hook):
        env["worker_process_setup_hook"] = getattr(hook, "__name__", repr(hook))
        env[HOOK] = _pickled(hook)
    return env


def by_hook(env: Any) -> Any:
    """What the function that RAY_RUNTIME_ENV_HOOK names makes of the environment of init(), as in Ray."""
    import importlib

    module, _, name = os.environ["RAY_RUNTIME_ENV_HOOK"].rpartition(".")
    return getattr(importlib.import_module(module), name)(env)


def _pickled(hook: Any) -> str:
    import cloudpickle

    try:
        return base64.b64encode(cloudpickle.dumps(hook)).decode()
    except Exception as error:
        raise RuntimeEnvSetupError(f"Failed to export the setup function: {error}") from error


def _package_list(value: Any) -> dict[str, Any]:
    found = dict(value) if isinstance(value, dict) else {"packages": value}
    wanted = found["packages"]
    base = os.getcwd()
    if isinstance(wanted, str):
        base = os.path.dirname(os.path.abspath(wanted))
        with open(wanted, encoding="utf-8") as file:
            wanted = file.read().strip().split("\n")
    lines = [_absolute(line.strip(), base) for line in wanted]
    found["packages"] = list(dict.fromkeys(line for line in lines if line and line[0] != "#"))
    return found


def _absolute(line: str, base: str) -> str:
    """A requirement that names a file of the driver's directory, for a process in another one."""
    option, _, rest = line.partition(" ") if line.startswith("-") else ("", "", line)
    if "=" in option:
        option, _, rest = option.partition("=")
    path = os.path.join(base, rest.strip())
    looks = rest.startswith(".") or "/" in rest or rest.endswith(packages.ARCHIVES) or option
    if rest and looks and "://" not in rest and os.path.exists(path):
        rest = os.path.abspath(path)
    return f"{option} {rest}".strip()


# ---- packages ----


@functools.lru_cache(maxsize=4)
def _cache_in(directory: str) -> Cache:
    return Cache(directory)


def cache() -> Cache:
    return _cache_in(default_directory())


def ship(source: str, field: str, excludes: list[str]) -> str:
    """Puts a directory, module or archive into the store, unless it is there, and gives its URI."""
    if fields.scheme_of(source):
        return source
    source = os.path.abspath(source)
    try:
        if os.path.isdir(source):
            return _ship_directory(source, field, excludes)
        return _ship_file(source, field)
    except (OSError, packages.TooLarge) as error:
        raise RuntimeEnvSetupError(
            f"Failed to upload {field} {source} to the cluster: {error}"
        ) from error


def _limit() -> int:
    from .._state import client

    return int(client().info()["settings"]["package_bytes_max"])


def _keep(name: str, held: Held) -> str:
    """What this process has shipped is not removed while it lives."""
    cache().keep(held)
    return f"gcs://{name}"


def _ship_file(path: str, field: str) -> str:
    import shutil

    size = os.path.getsize(path)
    if size > _limit():
        raise packages.TooLarge(
            f"{path} has {size} bytes, and a package may have {_limit()} (setting package_bytes_max)"
        )
    if path.endswith(".py"):  # as a directory with one file
        info = os.stat(path)
        name = os.path.basename(path)
        file = packages.File(name, path, size, info.st_mtime_ns, info.st_ino, info.st_mode)
        return _pack(packages.Listing([file], size), "")
    if path.endswith(".whl"):
        name = f"{packages.file_hash(path)}_{os.path.basename(path)}"
    else:
        suffix = next(each for each in packages.ARCHIVES if path.endswith(each))
        name = f"{packages.PREFIX}{packages.file_hash(path)}{suffix}"

    def fill(aside: str) -> None:
        shutil.copyfile(path, aside)

    return _keep(name, cache().make("packages", name, fill))


def _ship_directory(root: str, field: str, excludes: list[str]) -> str:
    began = time.time_ns()
    defaults = default_excludes()
    listing = packages.list_files(root, excludes, defaults)
    packages.check_size(listing, root, field, _limit())
    parent = os.path.basename(root) if field == "py_modules" else ""
    known = _Signature(root, parent, [*defaults, "\0", *excludes])
    signature = listing.signature()
    name = known.read(signature)
    held = cache().find("packages", name) if name else None
    if name and held is not None:
        return _keep(name, held)
    large = packages.large_files(listing)
    if large:
        logger.warning(
            "%s %s has large files: %s. Consider runtime_env['excludes'] or a .gitignore.",
            field,
            root,
            ", ".join(large[:5]),
        )
    uri = _pack(listing, parent)
    if listing.newest() < began - _RACE_NS:
        known.write(signature, uri.removeprefix("gcs://"))
    return uri


def _pack(listing: packages.Listing, parent: str) -> str:
    """The hash is known when all has been read, so the package is written beside the store first."""
    with _aside() as (fd, path):
        with open(fd, "wb", buffering=1 << 20) as out:
            name = f"{packages.PREFIX}{packages.hash_and_pack(listing, out, parent)}.zip"
        return _keep(name, cache().make("packages", name, lambda aside: os.rename(path, aside)))


@contextlib.contextmanager
def _aside() -> Iterator[tuple[int, str]]:
    """A file beside the store, open for writing, which may be renamed into it."""
    folder = os.path.join(cache().directory, "packing")
    os.makedirs(folder, exist_ok=True)
    _remove_left(folder)
    fd, path = tempfile.mkstemp(prefix=f"{os.uname().nodename}@{os.getpid()}-", dir=folder)
    try:
        yield fd, path
    finally:
        if os.path.exists(path):
            os.unlink(path)


def put(name: str, parts: Iterable[bytes]) -> None:
    """Puts a package that comes from elsewhere into the store. BadPackage if it is none."""
    with _aside() as (fd, path):
        with open(fd, "wb") as out:
            for part in parts:
                out.write(part)
        packages.check_archive(path)
        _keep(name, cache().make("packages", name, lambda aside: os.rename(path, aside)))


def has(name: str) -> bool:
    """Whether a package is in the store. It stays there while this process lives."""
    held = cache().find("packages", name)
    if held is not None:
        _keep(name, held)
    return held is not None


def _remove_left(folder: str) -> None:
    """What drivers of this machine were writing when they were killed; a home may be that of several."""
    for name in os.listdir(folder):
        host, _, rest = name.rpartition("@")
        if host == os.uname().nodename and not runs(rest.partition("-")[0]):
            try:
                os.unlink(os.path.join(folder, name))
            except OSError:
                pass


class _Signature:
    """What a directory looked like when it was packed last: file sizes, times and numbers, not contents."""

    def __init__(self, root: str, parent: str, excludes: list[str]) -> None:
        import hashlib

        key = hashlib.blake2b(json.dumps([root, parent, excludes]).encode(), digest_size=20)
        self._path = os.path.join(cache().directory, "signatures", key.hexdigest())

    def read(self, signature: str) -> str | None:
        """The name of the package, if nothing has changed since."""
        try:
            with open(self._path) as file:
                was, _, name = file.read().partition(" ")
        except OSError:
            return None
        return name if was == signature else None

    def write(self, signature: str, name: str) -> None:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        write_whole(self._path, f"{signature} {name}", 0o666)
