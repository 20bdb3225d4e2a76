"""Checkpoints: directories that are there whole or not at all, with a manifest that finds damage.

A checkpoint is written aside and renamed. `.manifest.json` in it holds the counters of the trainable and, of each
file, its size and (up to 64 MiB) its CRC-32. Follows `ray.tune.Checkpoint` (`ray.train.Checkpoint`), and the
dictionary form of `ray.air`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eagleray import _scratch, cloudpickle

MANIFEST_FILE = ".manifest.json"
DATA_FILE = ".checkpoint_data.pkl"  # no name that a program would choose
METADATA_FILE = ".metadata.json"
CHECKED_BYTES_MAX = 64 << 20  # larger files are checked by their size only


class CheckpointDamagedError(ValueError):
    """A checkpoint's files are not those that were written."""


class Checkpoint:
    """A directory of files that a trial can go on from.

    path: the directory. Two checkpoints of the same path are equal. Nothing but from_dict() owns its directory.
    """

    _owned: _Owned | None = None  # also of those that an earlier version has pickled

    def __init__(self, path: str | os.PathLike[str], filesystem: Any = None) -> None:
        self.path = os.fspath(path)
        self.filesystem = filesystem
        self.made_for_report = False  # its files may be moved, nobody else knows them
        if isinstance(path, Checkpoint):
            self._owned, self.made_for_report = path._owned, path.made_for_report

    @property
    def checkpoint(self) -> Checkpoint:
        """Itself: what save() gave was in some versions of Ray a result that has it."""
        return self

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """A checkpoint that is this directory; nothing is copied."""
        made = cls(path)
        made.path = os.path.abspath(os.path.expanduser(made.path))
        return made

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Checkpoint:
        """A checkpoint that is the dictionary (ray.air's form). Its directory goes with the object, at the latest when
        the program ends; of a worker that is killed, when another worker makes one. A copy, and what another process
        is given, has a directory of its own."""
        made = cls._of_files({})
        write_data(Path(made.path), data)
        return made

    @classmethod
    def _of_files(cls, files: dict[str, bytes]) -> Checkpoint:
        directory = Path(_scratch.new(of_object=True))
        made = cls(str(directory))
        made._owned = _Owned(made.path)
        for name, content in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(content)
        return made

    def __reduce__(self) -> Any:
        if self._owned is None:
            return super().__reduce__()
        root = Path(self.path)
        files = {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}
        return type(self)._of_files, (files,)

    @property
    def is_temporary(self) -> bool:
        """Whether its directory goes with this object."""
        return self._owned is not None

    def to_dict(self) -> dict[str, Any]:
        """The dictionary that from_dict() or save_checkpoint() kept. ValueError: there is none."""
        data = read_data(Path(self.path))
        if data is None:
            raise ValueError(f"{self.path} is a checkpoint of files, not of a dictionary")
        return data

    def to_directory(self, path: str | os.PathLike[str] | None = None) -> str:
        """A copy, at `path` or in a new temporary directory: a driver's is there until it ends, a task's or an actor's
        until the cluster ends."""
        target = os.fspath(path) if path else _scratch.new()
        shutil.copytree(self.path, target, dirs_exist_ok=True)
        return target

    @contextlib.contextmanager
    def as_directory(self) -> Iterator[str]:
        """The directory itself, to read from."""
        yield self.path

    def get_metadata(self) -> dict[str, Any]:
        """What set_metadata() kept, or {}."""
        file = Path(self.path) / METADATA_FILE
        return json.loads(file.read_text()) if file.exists() else {}

    def set_metadata(self, metadata: dict[str, Any]) -> None:
        """Keeps a dictionary of JSON values with the checkpoint."""
        (Path(self.path) / METADATA_FILE).write_text(json.dumps(metadata))

    def update_metadata(self, metadata: dict[str, Any]) -> None:
        self.set_metadata({**self.get_metadata(), **metadata})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoint) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"Checkpoint(path={self.path})"

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path


class _Owned:
    """A directory that goes with the last checkpoint that is it."""

    def __init__(self, path: str) -> None:
        weakref.finalize(self, _scratch.remove, path).atexit = False  # _scratch has its own


@contextlib.contextmanager
def write_aside(directory: Path) -> Iterator[Path]:
    """A directory to fill, which takes the place of `directory` when the block ends without an exception."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        yield aside
        os.chmod(aside, 0o755)
        if directory.exists() and not _is_replaceable(directory):
            for file in sorted(aside.iterdir()):
                file.replace(directory / file.name)
        elif directory.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{directory.name}.old.", dir=directory.parent))
            directory.rename(old / directory.name)
            aside.rename(directory)
            shutil.rmtree(old, ignore_errors=True)
        else:
            aside.rename(directory)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _is_replaceable(directory: Path) -> bool:
    """Whether nothing is lost with it: it is empty, or an older checkpoint."""
    return (directory / MANIFEST_FILE).exists() or not any(directory.iterdir())


def write_manifest(directory: Path, counters: dict[str, Any]) -> None:
    files = {}
    for file in sorted(directory.rglob("*")):
        if file.is_file() and file.name not in (MANIFEST_FILE, METADATA_FILE):
            files[str(file.relative_to(directory))] = _fingerprint(file)
    (directory / MANIFEST_FILE).write_text(json.dumps({**counters, "files": files}))


def read_manifest(directory: Path) -> dict[str, Any]:
    """The counters, after all files have been looked at. {} for a directory that was not made here.

    FileNotFoundError: no directory. CheckpointDamagedError: a file is missing or not as it was written.
    """
    if not directory.is_dir():
        raise FileNotFoundError(f"there is no checkpoint at {directory}")
    file = directory / MANIFEST_FILE
    if not file.exists():
        return {}
    try:
        manifest: dict[str, Any] = json.loads(file.read_text())
        files = dict(manifest.get("files", {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise CheckpointDamagedError(f"{file} is damaged: {error}") from None
    for name, expected in files.items():
        part = directory / name
        if not part.is_file():
            raise CheckpointDamagedError(
                f"the checkpoint {directory} is damaged: {name} is missing"
            )
        if _fingerprint(part) != expected:
            raise CheckpointDamagedError(
                f"the checkpoint {directory} is damaged: {name} is not as it was written"
            )
    return manifest


def _fingerprint(file: Path) -> list[int]:
    size = file.stat().st_size
    return [size, zlib.crc32(file.read_bytes()) if size <= CHECKED_BYTES_MAX else 0]


def write_data(directory: Path, data: dict[str, Any]) -> None:
    with open(directory / DATA_FILE, "wb") as file:
        cloudpickle.dump(data, file)


def read_data(directory: Path) -> dict[str, Any] | None:
    """The dictionary in the checkpoint, or None."""
    file = directory / DATA_FILE
    if not file.exists():
        return None
    try:
        with open(file, "rb") as stream:
            return pickle.load(stream)
    except (pickle.UnpicklingError, EOFError) as error:
        raise CheckpointDamagedError(f"{file} is damaged: {error}") from None
