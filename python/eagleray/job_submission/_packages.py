"""Packages: directories that a client sends along with a job. They are those of runtime environments, named by their
contents, and lie in the same store, where what a program ships by itself is found again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .._environments import packages, shipping
from .._environments.ignore import default_excludes

BYTES_MAX = 512 << 20  # of one package, as in Ray
PREFIX = "gcs://"
_NAME = re.compile(r"_ray_pkg_[0-9a-zA-Z_.-]{8,120}\.(zip|whl|jar|tgz|tar\.(gz|xz|bz2))")


# ---- the cluster's side ----


def exists(name: str) -> bool:
    """And stays while this process lives. ValueError for what is no name of a package."""
    return shipping.has(_checked(name))


def store(name: str, parts: Iterable[bytes]) -> None:
    """There whole, or not there. ValueError for what is no archive."""
    shipping.put(_checked(name), parts)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a package, as _ray_pkg_0123456789abcdef.zip")
    return name


def hold(env: dict[str, Any]) -> None:
    """Keeps the packages of a runtime environment until it is set up. ValueError for one that nobody has sent."""
    modules = env.get("py_modules")
    for uri in (env.get("working_dir"), *(modules if isinstance(modules, list) else ())):
        if isinstance(uri, str) and uri.startswith(PREFIX):
            name = uri.removeprefix(PREFIX)
            if "/" in name or name.startswith(".") or not shipping.has(name):
                raise ValueError(f"the package {uri} is not here: upload it first")


# ---- the client's side ----


@contextmanager
def packed(directory: str, excludes: Iterable[str], parent: str) -> Iterator[tuple[str, str]]:
    """The URI of a directory, and the path of its package meanwhile. parent: a directory inside that holds all.
    ValueError when it is not a directory or too large."""
    import tempfile

    if not os.path.isdir(directory):
        raise ValueError(f"directory {directory} must be an existing directory")
    listing = packages.list_files(directory, list(excludes), default_excludes())
    packages.check_size(listing, directory, "the directory", BYTES_MAX)
    with tempfile.TemporaryFile() as out:
        digest = packages.hash_and_pack(listing, out, parent)
        out.flush()
        yield f"{PREFIX}{packages.PREFIX}{digest}.zip", f"/proc/self/fd/{out.fileno()}"


def uri_of_archive(path: str) -> str | None:
    """Of a file that is an archive already; None for anything else."""
    suffix = next((each for each in packages.WORKING_DIR_ARCHIVES if path.endswith(each)), None)
    if suffix is None or not os.path.isfile(path):
        return None
    return f"{PREFIX}{packages.PREFIX}{packages.file_hash(path)}{suffix}"
