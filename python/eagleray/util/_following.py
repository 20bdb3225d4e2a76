"""The debugger follows a call to where it runs (`remote`), and its result to who gets it (`get`): the session of
rpdb.py goes on in another process under the same id. debug-<id>.follow says that it is on its way; it goes when the
session has come, or when there is nothing more that it could come to."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from .._state import state

ENDING = "follow"
_met: set[str] = set()  # results that have stopped this process: once each


def on_its_way(path: str) -> None:
    """Notes it at `path`, for the client."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"pid": os.getpid()}, file)


def gave_up(path: str) -> None:
    """There is nothing more to follow."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


# ---- remote ----


def follow_next_call(session: str) -> None:
    """The next call of a remote function in this process stops where it begins."""
    state.step_into = session
    state.epoch += 1  # submitters are made anew, and see it


def forget_next_call(session: str) -> bool:
    """Whether it had not come yet."""
    if state.step_into != session:
        return False
    state.step_into = ""
    state.epoch += 1
    return True


def take_along(extra: dict[str, Any]) -> None:
    """Into the rare options of a call that is submitted now; of that one only."""
    extra["step_into"] = state.step_into
    forget_next_call(state.step_into)


def stepped_into(function: Callable[..., Any], session: str) -> Callable[..., Any]:
    """The function, with a stop before its first line."""

    def called(*args: Any, **kwargs: Any) -> Any:
        from .rpdb import RemotePdb, facts_of

        code = getattr(function, "__code__", None)
        facts = {
            **facts_of(None, ""),
            "filename": code.co_filename if code else "",
            "lineno": code.co_firstlineno if code else 0,
            "function": getattr(function, "__name__", ""),
        }
        debugger = RemotePdb(facts, session)
        debugger.wait_for_client()
        try:
            return debugger.runcall(function, *args, **kwargs)
        finally:
            debugger.end()

    return called


# ---- get ----


class _Followed:
    """A result on its way. Whoever unpickles it gets the value, and stops where its own code goes on."""

    def __init__(self, value: Any, session: str) -> None:
        self._value = value
        self._session = session

    def __reduce__(self) -> Any:
        return (_arrived, (self._value, self._session))


def follow_result(session: str) -> None:
    """The results of the task that runs stop who gets them."""
    assert state.client is not None
    state.client.wrap_results(lambda value: _Followed(value, session))


def _arrived(value: Any, session: str) -> Any:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_users(frame):
        frame = frame.f_back
    if frame is not None and state.client is not None and session not in _met:
        from .rpdb import RemotePdb, facts_of

        _met.add(session)
        RemotePdb(facts_of(frame, ""), session).stop_in(frame)
    return value


def _is_users(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    return not name.startswith(("eagleray", "pickle", "cloudpickle", "runpy"))
