"""ray.util.progress: a bar while references become ready."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import eagleray as ray

from ..experimental.tqdm_ray import tqdm

POLL_S = 0.2


def progress(refs: Iterable[Any], *, desc: str = "", timeout: float | None = None) -> list[Any]:
    """Waits until all of `refs` are ready, showing how many are, and gives them as a list, as for
    `ray.get(progress(refs))`. A failed task counts as ready.

    desc: stands before the bar. timeout: seconds, after which those that are not ready raise GetTimeoutError. In
    a terminal it is a bar, in a notebook HTML, redirected a line each tenth. New here; Ray has none.
    """
    given = list(refs)
    waiting = list(dict.fromkeys(given))
    deadline = None if timeout is None else time.monotonic() + timeout
    bar = tqdm(desc=desc, total=len(waiting), unit="tasks", flush_interval_s=POLL_S)
    try:
        while waiting:
            left = POLL_S if deadline is None else min(POLL_S, deadline - time.monotonic())
            ready, waiting = ray.wait(
                waiting, num_returns=len(waiting), timeout=max(0.0, left), fetch_local=False
            )
            bar.update(len(ready))
            if waiting and deadline is not None and time.monotonic() >= deadline:
                raise ray.exceptions.GetTimeoutError(
                    f"{len(waiting)} of {len(given)} references were not ready after {timeout} s"
                )
    finally:
        bar.close()
    return given
