"""Directories of code: packages and archives from the store, files and the net, unpacked for this session. What
tasks write into their working directory is their cluster's, so each session has copies of its own."""

from __future__ import annotations

import hashlib
import os
import shutil

from . import packages
from .cache import Cache, Held
from .fields import scheme_of
from .text import masked
from .tools import SetupFailed

_FETCH_TIMEOUT_S = 60


class Sources:
    """store: where drivers put packages. session: a directory of this cluster's. held: where the locks go that keep
    what was found or made there."""

    def __init__(self, store: Cache, session: Cache, held: list[Held]) -> None:
        self._store = store
        self._session = session
        self._held = held

    def directory(self, uri: str) -> str:
        """Where the contents of `uri` lie."""
        scheme = scheme_of(uri)
        if scheme == "local":
            path = uri.removeprefix("local://")
            if not os.path.isdir(path):
                raise SetupFailed(f"{uri}: there is no such directory on this machine")
            return path
        key = _key_of(uri, scheme)
        tree = self._session.find("trees", key)  # its archive may have been removed since
        if tree is None:
            tree = self._unpacked(uri, key)
        self._held.append(tree)
        return tree.path

    def _unpacked(self, uri: str, key: str) -> Held:
        archive = self._archive(uri, key)
        strip = scheme_of(uri) != "gcs"
        is_wheel = uri.split("?", 1)[0].endswith(".whl")
        fill = _fill_wheel if is_wheel else packages.unpack
        try:
            return self._session.make("trees", key, lambda aside: fill(archive.path, aside, strip))
        except packages.BadPackage as error:
            raise SetupFailed(f"{uri}: {error}") from error
        finally:
            archive.release()

    def _archive(self, uri: str, key: str) -> Held:
        scheme = scheme_of(uri)
        if scheme == "gcs":
            found = self._store.find("packages", key)
            if found is None:
                raise SetupFailed(
                    f"{uri} is not in the store of this cluster ({self._store.directory}): it was never put there, "
                    "or was removed for want of room (setting environment_cache_bytes_max)"
                )
            return found
        if scheme == "file":
            path = uri.removeprefix("file://")
            return Held(path, os.open(path, os.O_RDONLY))
        return self._session.make("downloads", key, lambda aside: _fetch(uri, aside))


def _key_of(uri: str, scheme: str) -> str:
    """The same for the same contents, as far as that can be known."""
    if scheme == "gcs":
        name = uri.removeprefix("gcs://")
        if "/" in name or name.startswith("."):
            raise SetupFailed(f"{uri} is no name of a package")
        return name
    if scheme == "file":
        try:
            info = os.stat(uri.removeprefix("file://"))
        except OSError as error:
            raise SetupFailed(f"{uri}: {error}") from error
        return _key(uri, str(info.st_size), str(info.st_mtime_ns))
    return _key(uri)


def _key(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=20).hexdigest()


def _fill_wheel(archive: str, aside: str, _strip: bool) -> None:
    packages.unpack_wheel(archive, aside)


def _fetch(uri: str, aside: str) -> None:
    import urllib.request  # takes as long to load as all else here

    shown = masked(uri.split("?", 1)[0])
    print(f"fetching {shown}", flush=True)
    try:
        with (
            urllib.request.urlopen(uri, timeout=_FETCH_TIMEOUT_S) as answer,
            open(aside, "wb") as out,
        ):
            shutil.copyfileobj(answer, out, 1 << 20)
    except (OSError, ValueError) as error:
        raise SetupFailed(f"{shown} could not be fetched: {error}") from error
