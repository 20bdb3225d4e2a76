"""`eagleray microbenchmark`: how many calls a second. The rows are named as those of `ray microbenchmark`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

ROUND_S = 0.5
ROUNDS = 3


def measure() -> Iterator[dict[str, Any]]:
    """name, rate and deviation, each a second; a cluster of its own for as long as it takes."""
    import eagleray as ray

    ray.init("local", num_cpus=4, log_to_driver=False)
    try:
        for name, work, count in _rows(ray):
            yield {"name": name, **_rate(work, count)}
    finally:
        ray.shutdown()


def _rate(work: Callable[[], Any], count: float) -> dict[str, float]:
    work()
    rates = []
    for _ in range(ROUNDS):
        began, runs = time.perf_counter(), 0
        while time.perf_counter() - began < ROUND_S:
            work()
            runs += 1
        rates.append(runs * count / (time.perf_counter() - began))
    return {"rate": statistics.fmean(rates), "deviation": statistics.pstdev(rates)}


def _rows(ray: Any) -> Iterator[tuple[str, Callable[[], Any], float]]:
    import numpy as np

    def ok() -> bytes:
        return b"ok"

    small = ray.remote(ok)

    class Actor:
        def small(self) -> bytes:
            return b"ok"

    class AsyncActor:
        async def small(self) -> bytes:
            return b"ok"

    kept = ray.put(0)
    large = np.zeros(100 << 20, dtype=np.uint8)
    yield "single client get calls (Plasma Store)", lambda: ray.get(kept), 1
    yield "single client put calls (Plasma Store)", lambda: ray.put(0), 1
    yield "single client put gigabytes", lambda: ray.put(large), len(large) / 1e9
    many = range(1000)
    yield (
        "single client tasks and get batch",
        lambda: ray.get([small.remote() for _ in many]),
        1,
    )

    def wait_for_all() -> None:
        waiting = [small.remote() for _ in many]
        while waiting:
            _, waiting = ray.wait(waiting)

    yield "single client wait 1k refs", wait_for_all, 1
    yield "single client tasks sync", lambda: ray.get(small.remote()), 1
    yield "single client tasks async", lambda: ray.get([small.remote() for _ in many]), 1000
    actor, asynchronous = ray.remote(Actor).remote(), ray.remote(AsyncActor).remote()
    yield "1:1 actor calls sync", lambda: ray.get(actor.small.remote()), 1
    yield "1:1 actor calls async", lambda: ray.get([actor.small.remote() for _ in many]), 1000
    yield "1:1 async-actor calls sync", lambda: ray.get(asynchronous.small.remote()), 1
    yield (
        "1:1 async-actor calls async",
        lambda: ray.get([asynchronous.small.remote() for _ in many]),
        1000,
    )
