"""Directories for files that a program makes for itself and gives no place.

Of a driver they are beside its session and go when it ends; of a worker in its session's directory, because others may
read them after it, and go with the session. What a killed program leaves goes after the start of the next session."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from . import _node
from ._old_sessions import SCRATCH
from ._state import state

_made: set[str] = set()  # by this process
os.register_at_fork(after_in_child=_made.clear)


def new() -> str:
    """Makes an empty one."""
    if state.is_worker and state.client is not None:
        root = os.path.join(state.client.info()["session_dir"], SCRATCH)
        os.makedirs(root, mode=0o700, exist_ok=True)
        path = tempfile.mkdtemp(dir=root)
    else:
        where = state.context.address_info["session_dir"] if state.context else None
        root = os.path.dirname(where) if where else _node.make_root(None)
        path = tempfile.mkdtemp(prefix=f"{SCRATCH}_{os.getpid()}_", dir=root)
    _made.add(path)
    return path


def remove(path: str) -> None:
    """Removes one that this process has made. A forked child removes none of its parent's."""
    if path in _made:
        _made.discard(path)
        shutil.rmtree(path, ignore_errors=True)


@atexit.register
def _at_exit() -> None:
    if not state.is_worker:
        for path in list(_made):
            remove(path)
