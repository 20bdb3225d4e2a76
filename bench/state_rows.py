"""The rows of the state API: what a history costs the tasks, and how quickly it is read. `--state` of bench/run.py."""

from __future__ import annotations

import subprocess
import sys
import time

_TASKS = """
import sys, time
import eagleray as ray
ray.init(num_cpus=2, _system_config={"history_bytes_max": int(sys.argv[1])})
@ray.remote
def ok(): return b"ok"
ray.get([ok.remote() for _ in range(1000)])
best = 0.0
for _ in range(5):
    began = time.perf_counter()
    ray.get([ok.remote() for _ in range(int(sys.argv[2]))])
    best = max(best, int(sys.argv[2]) / (time.perf_counter() - began))
print(best)
"""


def _throughput(limit, count):
    done = subprocess.run(
        [sys.executable, "-c", _TASKS, str(limit), str(count)], capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def history_cost(ray, n):
    count = max(int(40_000 * n), 1_000)
    on, off = 0.0, 0.0
    for _ in range(3):  # in turn, so that both meet the same noise
        on = max(on, _throughput(1 << 30, count))
        off = max(off, _throughput(0, count))
    return {"tasks_with_history_per_s": on, "tasks_without_per_s": off, "cost": 1 - on / off}


def list_of_a_million(ray, n):
    from eagleray.util import state

    @ray.remote
    def ok():
        return None

    @ray.remote(max_retries=0)
    def fails():
        raise ValueError

    ready, _ = ray.wait([fails.remote()])
    batch = 10_000
    for _ in range(max(int(1_000_000 * n) // batch, 1)):
        ray.get([ok.remote() for _ in range(batch)])
    times = []
    for _ in range(3):
        began = time.perf_counter()
        found = state.list_tasks(filters=[("state", "=", "FAILED")])
        times.append(time.perf_counter() - began)
        assert len(found) == len(ready)
    return {"list_with_filter_s": min(times)}


ROWS = [history_cost, list_of_a_million]

REACH = {
    "tasks_with_history_per_s": (200_000, True),
    "cost": (0.02, False),
    "list_with_filter_s": (0.5, False),
}
