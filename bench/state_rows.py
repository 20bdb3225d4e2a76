"""The rows of the state API: what a history costs the tasks, and how quickly it is read. `--state` of bench/run.py."""

from __future__ import annotations

import random
import statistics
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
batches, batch = 12, int(sys.argv[2])
began = time.perf_counter()
for _ in range(batches):
    ray.get([ok.remote() for _ in range(batch)])
print(batches * batch / (time.perf_counter() - began))
"""


def _throughput(limit, count):
    done = subprocess.run(
        [sys.executable, "-c", _TASKS, str(limit), str(count)], capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def _paired(pairs, seconds):
    """What `seconds(True)` takes more than `seconds(False)`, as a share. In pairs, so that both meet the same noise,
    which is a multiple of what is looked for, and in either order by chance."""
    costs = []
    for _ in range(pairs):
        first = random.random() < 0.5
        times = {first: seconds(first)}
        times[not first] = seconds(not first)
        costs.append(times[True] / times[False] - 1)
    return {
        "cost": statistics.mean(costs),
        "cost_median": statistics.median(costs),
        "cost_error": statistics.stdev(costs) / len(costs) ** 0.5,
    }


def history_cost(ray, n):
    """Sessions of their own: what a process's first files cost is in it."""
    count = max(int(40_000 * n), 1_000)
    with_history = []

    def seconds(wanted):
        per_s = _throughput(1 << 30 if wanted else 0, count)
        if wanted:
            with_history.append(per_s)
        return 1 / per_s

    costs = _paired(100 if n >= 1 else 2, seconds)
    return {"tasks_with_history_per_s": statistics.median(with_history), **costs}


def history_cost_within(ray, n):
    """Within one process: what one process differs from the next is more than what is looked for."""
    from eagleray._state import client

    batch = max(int(40_000 * n), 1_000)

    @ray.remote
    def ok():
        return b"ok"

    def seconds(wanted):
        client().keep_history(wanted)
        for _ in range(2):  # until control is done with what was before
            ray.get([ok.remote() for _ in range(batch)])
        began = time.perf_counter()
        for _ in range(5):
            ray.get([ok.remote() for _ in range(batch)])
        return time.perf_counter() - began

    costs = _paired(100 if n >= 1 else 2, seconds)
    client().keep_history(True)
    return {f"{name}_within": value for name, value in costs.items()}


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


ROWS = [history_cost, history_cost_within, list_of_a_million]

REACH = {
    "tasks_with_history_per_s": (200_000, True),
    "cost": (0.02, False),
    "cost_median": (0.02, False),
    "cost_error": (0.01, False),
    "cost_within": (0.02, False),
    "cost_median_within": (0.02, False),
    "cost_error_within": (0.01, False),
    "list_with_filter_s": (0.5, False),
}
