"""Rows of size: what queued tasks, references and actors cost in memory, and whether calls leak. Run with
`bench/run.py --scale`; they take a minute. As core_rows: functions of (ray, n), public API only."""

from __future__ import annotations

import gc
import os
import time


def _own_bytes(pid="self"):
    """Memory that this process alone holds and has written."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if "Private_Dirty" in line)


def queued(ray, n):
    """Bytes in the driver of a task that waits for a worker."""

    @ray.remote
    def nothing():
        return None

    @ray.remote(num_cpus=4)
    def block():
        time.sleep(600)

    ray.get([nothing.remote() for _ in range(100)])
    blocker = block.remote()
    count = max(int(1_000_000 * n), 1_000)
    gc.collect()
    before = _own_bytes()
    refs = [nothing.remote() for _ in range(count)]
    used = _own_bytes() - before - 8 * count
    ray.cancel(blocker, force=True)
    ray.get(refs)
    return {"queued_task_bytes": used / count}


def references(ray, n):
    count = max(int(100_000 * n), 1_000)
    gc.collect()
    before = _own_bytes()
    refs = [ray.put(i) for i in range(count)]
    used = _own_bytes() - before - 8 * len(refs)
    return {"reference_bytes": used / count}


def many_calls(ray, n):
    """Growth of the driver and a worker over ten million calls, after a first tenth."""

    @ray.remote
    class Actor:
        def ok(self):
            return None

        def pid(self):
            return os.getpid()

    @ray.remote
    def nothing():
        return None

    actor = Actor.remote()
    pid = ray.get(actor.pid.remote())

    def calls(count):
        for _ in range(max(count // 5_000, 1)):
            ray.get([actor.ok.remote() for _ in range(2_500)])
            ray.get([nothing.remote() for _ in range(2_500)])

    total = int(10_000_000 * n)
    calls(total // 10)
    gc.collect()
    before = _own_bytes() + _own_bytes(pid)
    calls(total)
    gc.collect()
    return {"growth_10m_calls_mb": (_own_bytes() + _own_bytes(pid) - before) / 2**20}


def thousand_actors(ray, n):
    @ray.remote(num_cpus=0)
    class Plain:
        def pid(self):
            return os.getpid()

    count = max(int(1_000 * n), 4)
    start = time.perf_counter()
    actors = [Plain.remote() for _ in range(count)]
    pids = ray.get([a.pid.remote() for a in actors])
    started = time.perf_counter() - start
    pss = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            pss += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    start = time.perf_counter()
    for actor in actors:
        ray.kill(actor)
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        time.sleep(0.01)
    return {
        "actors_1000_start_s": started,
        "actors_1000_end_s": time.perf_counter() - start,
        "actor_mb": pss / 1024 / count,
    }


ROWS = [references, queued, many_calls, thousand_actors]

REACH = {
    "queued_task_bytes": (500, False),
    "reference_bytes": (300, False),
    "growth_10m_calls_mb": (4, False),
    "actors_1000_start_s": (15, False),
    "actors_1000_end_s": (5, False),
    "actor_mb": (12, False),
}
