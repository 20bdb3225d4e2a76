"""What the tests share. `ray` is eagleray, or Ray itself with EAGLERAY_TEST_PEER=ray, so that the contract
tested is Ray's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

PEER = os.environ.get("EAGLERAY_TEST_PEER") == "ray"
if PEER:
    import ray
else:
    import eagleray as ray

__all__ = ["PEER", "alive", "ray", "wait_for"]


def wait_for(predicate: Callable[[], Any], timeout: float = 10.0) -> Any:
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
