"""What the tests share. `ray` is eagleray, or Ray itself with EAGLERAY_TEST_PEER=ray, so that the contract
tested is Ray's."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PEER = os.environ.get("EAGLERAY_TEST_PEER") == "ray"
if PEER:
    import ray
else:
    import eagleray as ray

PATIENCE_S = 60.0  # with what is soon: a machine may be busy

__all__ = [
    "PATIENCE_S",
    "PEER",
    "alive",
    "ray",
    "run_program",
    "start_program",
    "wait_for",
    "waits_for",
]


def wait_for(predicate: Callable[[], Any], timeout: float = PATIENCE_S) -> Any:
    """Polls until `predicate()` is true and gives its value. The only place that sleeps."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        assert time.monotonic() < deadline, f"not true within {timeout} s"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def status_of(pid: int, field: str) -> int:
    """The number behind `field` in /proc/PID/status."""
    with open(f"/proc/{pid}/status") as status:
        return int(next(line for line in status if line.startswith(field)).split()[1])


def waits_for(flag: Path, **options: Any) -> Any:
    """A remote function that gives back its argument when the file is there."""

    @ray.remote(**options)
    def waits(value: Any = None) -> Any:
        wait_for(flag.exists, 60)
        return value

    return waits


# A shell starts what it puts in the background deaf to Ctrl-C, these tests included.
_SIGNALS_AS_USUAL = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def start_program(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """A Python program of its own that can import what is tested."""
    paths = os.path.dirname(os.path.dirname(ray.__file__))
    return subprocess.Popen(
        [sys.executable, "-c", _SIGNALS_AS_USUAL + textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )


def run_program(code: str, *arguments: object, **environment: str) -> tuple[str, str]:
    """Standard output and standard error of such a program, which must succeed."""
    process = start_program(code, *arguments, **environment)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err
