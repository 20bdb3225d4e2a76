"""Directories for files that a program makes for itself and gives no place.

Of a driver they are beside its session and go when it ends; of a worker in its session's directory, because others may
read them after it, and go with the session. What a killed program leaves goes after the start of the next session. What
a worker makes for an object of its own goes with the object; if it is killed, when another worker makes a directory."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

from . import _node
from ._old_sessions import SCRATCH
from ._processes import name_of, namespace, still_runs
from ._state import state

_made: set[str] = set()  # by this process
os.register_at_fork(after_in_child=_made.clear)


def new(*, of_object: bool = False) -> str:
    """Makes an empty one. of_object: nobody reads it after this process."""
    if state.is_worker and state.client is not None:
        root = os.path.join(state.client.info()["session_dir"], SCRATCH)
        os.makedirs(root, mode=0o700, exist_ok=True)
        if not _made:
            _remove_orphans(root)
        owner = f"{namespace()}_{name_of(os.getpid())}_" if of_object else None
        path = tempfile.mkdtemp(prefix=owner, dir=root)
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


def _remove_orphans(root: str) -> None:
    """What killed workers have made for their objects. Those of another namespace are for workers there."""
    here = str(namespace())
    for name in os.listdir(root):
        where, owner, *_ = f"{name}__".split("_")
        if where == here and not still_runs(int(owner)):
            shutil.rmtree(os.path.join(root, name), ignore_errors=True)


@atexit.register
def _at_exit() -> None:
    if not state.is_worker:
        for path in list(_made):
            remove(path)
