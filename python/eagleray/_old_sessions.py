"""Removes what ended sessions have left: directories beyond the limits. Never waited for by init(): a directory of many
files takes long to look at, and longer to remove.

The size of an ended session is looked at once and kept in it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Mapping

from ._files import write_whole
from ._processes import runs

SCRATCH = "scratch"  # the part of a session for files that end with it; of a driver: the beginning of names beside it
SIZE_FILE = ".bytes"  # of an ended session: what its files are together


def clean(current: str, settings: Mapping[str, float]) -> None:
    """Removes the oldest ended sessions beside `current` that are too many, or too much, and the scratch of others."""
    _remove_scratch(os.path.dirname(current))
    room = settings["sessions_bytes_max"]
    for number, path in enumerate(ended_beside(current)):
        remove_part(path, SCRATCH)
        if number < settings["sessions_max"]:
            room -= _size(path)
        if number >= settings["sessions_max"] or room < 0:
            shutil.rmtree(path, ignore_errors=True)


def clean_later(current: str, settings: Mapping[str, float]) -> None:
    """Likewise, while the program goes on. What its end cuts short, the next session finishes."""
    threading.Thread(
        target=clean, args=(current, settings), name="eagleray-old-sessions", daemon=True
    ).start()


def ended_beside(current: str) -> list[str]:
    """Directories of sessions that have ended, the newest first."""
    root = os.path.dirname(current)
    try:
        names = sorted((n for n in os.listdir(root) if n.startswith("session_2")), reverse=True)
    except FileNotFoundError:  # the program has removed its own _temp_dir meanwhile
        return []
    beside = (path for n in names if (path := os.path.join(root, n)) != current)
    return [path for path in beside if _has_ended(path)]


def remove_part(ended: str, part: str) -> None:
    """Removes a directory of an ended session's, if it is there; the size is found again."""
    path = os.path.join(ended, part)
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(ended, SIZE_FILE))


def _remove_scratch(root: str) -> None:
    """What drivers that were killed have left beside their sessions."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(root):
            kind, _, rest = name.partition("_")
            if kind == SCRATCH and not runs(rest.partition("_")[0]):
                shutil.rmtree(os.path.join(root, name), ignore_errors=True)


def _has_ended(session_dir: str) -> bool:
    """Neither the process that started it nor its daemon runs any more."""
    pids = os.path.basename(session_dir).split("_")[3:4]
    try:
        with open(os.path.join(session_dir, "address.json")) as file:
            pids.append(str(json.load(file)["pid"]))
    except (OSError, ValueError, KeyError):
        pass
    return not any(map(runs, pids))


def _size(ended: str) -> int:
    """Bytes of an ended session's files, as found the first time somebody asked."""
    path = os.path.join(ended, SIZE_FILE)
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):
        pass
    total = _bytes_in(ended)
    with contextlib.suppress(OSError):  # a full disk: the next one looks again
        write_whole(path, str(total))
    return total


def _bytes_in(directory: str) -> int:
    total = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                pass
    return total
