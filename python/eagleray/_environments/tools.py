"""How builders run other programs, and say what went wrong. What they print goes to the log of the setup, whose
end the node puts below the error."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence


class SetupFailed(Exception):
    """An environment cannot be set up; the message is for its user."""


def run(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Runs a program to its end. SetupFailed when it fails or is not there."""
    shown = shlex.join(arguments)
    print(f"$ {shown}", flush=True)
    try:
        done = subprocess.run(
            arguments, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise SetupFailed(f"`{shown}` could not be started: {error}") from error
    if done.returncode != 0:
        raise SetupFailed(f"`{shown}` {describe(done.returncode)}")


def read(arguments: Sequence[str]) -> str:
    """What a program prints. SetupFailed when it fails."""
    print(f"$ {shlex.join(arguments)}", flush=True)
    try:
        done = subprocess.run(
            arguments, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
    except OSError as error:
        raise SetupFailed(f"`{shlex.join(arguments)}` could not be started: {error}") from error
    if done.returncode != 0:
        raise SetupFailed(f"`{shlex.join(arguments)}` {describe(done.returncode)}")
    return done.stdout


def describe(status: int) -> str:
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"


def find(*names: str) -> str | None:
    """The first program of these names beside this Python or on the path."""
    for name in names:
        beside = os.path.join(os.path.dirname(sys.executable), name)
        found = beside if os.access(beside, os.X_OK) else shutil.which(name)
        if found:
            return found
    return None
