"""How builders run other programs, and say what went wrong. What they print goes to the log of the setup, whose
end the node puts below the error; passwords do not."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from .text import masked


class SetupFailed(Exception):
    """An environment cannot be set up; the message is for its user."""


_LAST_WORDS_S = 1.0  # what a program leaves running may keep its output open


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    reads: Sequence[str] = (),
) -> None:
    """Runs a program to its end. SetupFailed when it fails or is not there. reads: what else it may print."""
    check(arguments, status_of(arguments, environment, reads))


def status_of(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    reads: Sequence[str] = (),
    keeps: Sequence[int] = (),
) -> int:
    """As run(), and how it ended: the number of a signal is below zero. keeps: descriptors that are its own, too. Where there are passwords in all this, its
    output is passed on without them; else it writes into the log itself, and what it has said is there whoever is
    killed."""
    known = [*arguments, *reads, *os.environ.values(), *(environment or {}).values()]
    if all(masked(each) == each for each in known):
        return _started(arguments, None, None, environment, keeps).wait()
    program = _started(arguments, subprocess.PIPE, subprocess.STDOUT, environment, keeps)

    def pass_on() -> None:
        assert program.stdout is not None
        for line in io.TextIOWrapper(program.stdout, errors="replace"):
            print(masked(line), end="", flush=True)

    reader = threading.Thread(target=pass_on, daemon=True)
    reader.start()
    program.wait()
    reader.join(_LAST_WORDS_S)
    return program.returncode


def read(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What a program prints, as names of files and variables are read. SetupFailed when it fails."""
    with _started(arguments, subprocess.PIPE, None, environment) as program:
        assert program.stdout is not None
        printed = program.stdout.read()
    check(arguments, program.returncode)
    return os.fsdecode(printed)


def _started(
    arguments: Sequence[str],
    stdout: int | None,
    stderr: int | None,
    environment: Mapping[str, str] | None,
    keeps: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    print(f"$ {_shown(arguments)}", flush=True)
    try:
        return subprocess.Popen(
            arguments,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=keeps,
        )
    except OSError as error:
        raise SetupFailed(f"`{_shown(arguments)}` could not be started: {error}") from error


def check(arguments: Sequence[str], status: int) -> None:
    if status != 0:
        raise SetupFailed(f"`{_shown(arguments)}` {describe(status)}")


def _shown(arguments: Sequence[str]) -> str:
    return masked(shlex.join(arguments))


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
