"""The rows of the core benchmark. Each is a function of (ray, n) that gives {name: figure}; `n` scales the
work down for a smoke run. They use the public API only, so the same code measures Ray."""

from __future__ import annotations

import os
import time


def _rate(count, run, rounds=3):
    best = 0.0
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        best = max(best, count / (time.perf_counter() - start))
    return best


def _percentiles(call, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    times.sort()
    return times[count // 2] * 1e6, times[min(count - 1, int(count * 0.99))] * 1e6


def small_objects(ray, n):
    ref = ray.put(0)
    many = max(int(20_000 * n), 100)
    return {
        "get_small_per_s": _rate(many, lambda: [ray.get(ref) for _ in range(many)]),
        "put_small_per_s": _rate(many, lambda: [ray.put(0) for _ in range(many)]),
    }


def large_objects(ray, n):
    import numpy as np

    array = np.zeros(max(int(100 * n), 2) << 20, np.uint8)
    for _ in range(3):
        ray.put(array)

    def put():
        for _ in range(5):
            ray.put(array)

    ref = ray.put(array)
    many = max(int(5_000 * n), 50)
    return {
        "put_100mib_gb_per_s": _rate(5 * array.nbytes / 1e9, put),
        "get_100mib_per_s": _rate(many, lambda: [ray.get(ref) for _ in range(many)]),
    }


def tasks(ray, n):
    @ray.remote
    def ok():
        return b"ok"

    @ray.remote
    def add_one(x):
        return x + 1

    ray.get([ok.remote() for _ in range(100)])
    p50, p99 = _percentiles(lambda: ray.get(ok.remote()), max(int(5_000 * n), 50))
    batch = max(int(1_000 * n), 20)
    queued = max(int(100_000 * n), 100)
    start = time.perf_counter()
    ray.get([ok.remote() for _ in range(queued)])
    queued_s = time.perf_counter() - start
    length = max(int(1_000 * n), 20)
    start = time.perf_counter()
    ref = add_one.remote(0)
    for _ in range(length - 1):
        ref = add_one.remote(ref)
    assert ray.get(ref) == length
    chain_s = time.perf_counter() - start
    return {
        "task_sync_p50_us": p50,
        "task_sync_p99_us": p99,
        "tasks_batch_per_s": _rate(batch, lambda: ray.get([ok.remote() for _ in range(batch)]), 5),
        "tasks_100k_s": queued_s,
        "chain_1000_s": chain_s,
    }


def actors(ray, n):
    @ray.remote
    class Plain:
        def ok(self):
            return b"ok"

        def take(self, value):
            return b"ok"

    @ray.remote
    class Async:
        async def ok(self):
            return b"ok"

    import numpy as np

    actor, slow = Plain.remote(), Async.remote()
    ray.get([actor.ok.remote(), slow.ok.remote()])
    p50, p99 = _percentiles(lambda: ray.get(actor.ok.remote()), max(int(5_000 * n), 50))
    batch = max(int(1_000 * n), 20)
    ref = ray.put(np.zeros(256 << 10, np.uint8))
    return {
        "actor_sync_p50_us": p50,
        "actor_sync_p99_us": p99,
        "actor_batch_per_s": _rate(
            batch, lambda: ray.get([actor.ok.remote() for _ in range(batch)]), 5
        ),
        "async_actor_batch_per_s": _rate(
            batch, lambda: ray.get([slow.ok.remote() for _ in range(batch)]), 5
        ),
        "actor_256k_ref_per_s": _rate(
            batch, lambda: ray.get([actor.take.remote(ref) for _ in range(batch)])
        ),
    }


def many_actors(ray, n):
    @ray.remote(num_cpus=0)
    class Plain:
        def ok(self):
            return b"ok"

    count = max(int(40 * n), 4)
    start = time.perf_counter()
    all_actors = [Plain.remote() for _ in range(count)]
    ray.get([a.ok.remote() for a in all_actors])
    for each in all_actors:
        ray.kill(each)
    return {"actors_40_s": time.perf_counter() - start}


def callers(ray, n):
    """Two actors that each call all of four others."""

    @ray.remote(num_cpus=0)
    class Server:
        def ok(self):
            return b"ok"

    @ray.remote(num_cpus=0)
    class Caller:
        def __init__(self, servers):
            self.servers = servers

        def run(self, count):
            ray.get([s.ok.remote() for _ in range(count) for s in self.servers])

    servers = [Server.remote() for _ in range(4)]
    pair = [Caller.remote(servers) for _ in range(2)]
    each = max(int(1_000 * n), 10)
    ray.get([c.run.remote(10) for c in pair])
    return {
        "actors_2_to_4_per_s": _rate(8 * each, lambda: ray.get([c.run.remote(each) for c in pair]))
    }


def wide(ray, n):
    import numpy as np

    @ray.remote
    def ok():
        return b"ok"

    @ray.remote
    def make(count):
        return [ray.put(1) for _ in range(count)]

    @ray.remote
    def take(*args):
        return len(args)

    count = max(int(10_000 * n), 50)

    def wait_all():
        refs = [ok.remote() for _ in range(max(int(1_000 * n), 20))]
        while refs:
            _, refs = ray.wait(refs)

    made = make.remote(count)
    ray.wait([made])
    objects = [ray.put(np.zeros(1_000)) for _ in range(count)]
    start = time.perf_counter()
    ray.get(objects)
    objects_s = time.perf_counter() - start
    args = [ray.put(i) for i in range(count)]
    start = time.perf_counter()
    assert ray.get(take.remote(*args)) == count
    args_s = time.perf_counter() - start
    returns = max(int(3_000 * n), 20)
    spread = ray.remote(lambda: tuple(range(returns))).options(num_returns=returns)
    start = time.perf_counter()
    ray.get(spread.remote())
    returns_s = time.perf_counter() - start
    return {
        "wait_1000_per_s": _rate(1, wait_all),
        "get_10k_refs_per_s": _rate(1, lambda: ray.get(made)),
        "get_10k_objects_s": objects_s,
        "args_10k_s": args_s,
        "returns_3000_s": returns_s,
    }


def environments(ray, n):
    """A working_dir of 100 MB in 10,000 files, first and again; the second worker of an environment."""
    import shutil
    import tempfile

    root = tempfile.mkdtemp()
    folders = max(int(100 * n), 2)
    for i in range(folders):
        os.mkdir(f"{root}/{i}")
        for j in range(100):
            with open(f"{root}/{i}/{j}", "wb") as file:
                file.write(os.urandom(10_485))

    @ray.remote(max_calls=1)
    def look():
        return len(os.listdir("."))

    def once(env):
        start = time.perf_counter()
        ray.get(look.options(runtime_env=env).remote())
        return time.perf_counter() - start

    try:
        time.sleep(0.1)  # files that are this new are not known by their times
        directory = {"working_dir": root}
        first, again = once(directory), once(directory)
        own = {
            "env_vars": {"PYTHONPATH": root}
        }  # an interpreter of its own, with nothing to install
        once(own)
        warm = min(once(own) for _ in range(5))
    finally:
        shutil.rmtree(root)
    return {
        "working_dir_100mb_s": first,
        "working_dir_again_s": again,
        "environment_warm_ms": warm * 1e3,
    }


def memory(ray, n):
    """PSS of the cluster's processes, in MB: descendants of this process, itself left out."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parents[int(name)] = int(file.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    ours, total = {os.getpid()}, 0
    grew = True
    while grew:
        found = {p for p, parent in parents.items() if parent in ours and p not in ours}
        grew = bool(found)
        ours |= found
    for pid in ours - {os.getpid()}:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(x.split()[1]) for x in file if x.startswith("Pss:"))
        except OSError:
            pass
    return {"memory_pss_mb": total / 1024}


def graphs(ray, n):
    """A compiled chain of two actors, round trip, and its throughput with ten in flight."""
    import importlib

    import numpy as np

    InputNode = importlib.import_module(f"{ray.__name__}.dag").InputNode

    @ray.remote(num_cpus=0)
    class Echo:
        def echo(self, value):
            return value

    one, two = Echo.remote(), Echo.remote()
    with InputNode() as inp:
        node = two.echo.bind(one.echo.bind(inp))
    graph = node.experimental_compile()
    p50, p99 = _percentiles(lambda: ray.get(graph.execute(1)), max(int(10_000 * n), 50))
    array = np.zeros(1 << 17)
    large, _ = _percentiles(lambda: ray.get(graph.execute(array)), max(int(1_000 * n), 20))

    def ten():
        for ref in [graph.execute(i) for i in range(10)]:
            ray.get(ref)

    rate = _rate(10, ten, max(int(500 * n), 5))
    graph.teardown()
    return {
        "graph_chain_2_p50_us": p50,
        "graph_chain_2_p99_us": p99,
        "graph_chain_2_1mib_p50_us": large,
        "graph_chain_2_per_s": rate,
    }


ROWS = [
    small_objects,
    large_objects,
    tasks,
    actors,
    many_actors,
    callers,
    wide,
    graphs,
    environments,
    memory,
]

# name: (bound, higher is better)
REACH = {
    "import_s": (0.08, False),
    "init_s": (0.20, False),
    "first_task_s": (0.05, False),
    "shutdown_s": (0.20, False),
    "get_small_per_s": (500_000, True),
    "put_small_per_s": (200_000, True),
    "put_100mib_gb_per_s": (10, True),
    "get_100mib_per_s": (100_000, True),
    "task_sync_p50_us": (20, False),
    "task_sync_p99_us": (200, False),
    "tasks_batch_per_s": (150_000, True),
    "tasks_100k_s": (1.0, False),
    "chain_1000_s": (0.04, False),
    "actor_sync_p50_us": (15, False),
    "actor_sync_p99_us": (150, False),
    "actor_batch_per_s": (200_000, True),
    "async_actor_batch_per_s": (40_000, True),
    "actor_256k_ref_per_s": (50_000, True),
    "actors_2_to_4_per_s": (80_000, True),
    "wait_1000_per_s": (40, True),
    "get_10k_refs_per_s": (60, True),
    "get_10k_objects_s": (0.03, False),
    "args_10k_s": (0.08, False),
    "returns_3000_s": (0.10, False),
    "actors_40_s": (0.5, False),
    "graph_chain_2_p50_us": (30, False),
    "graph_chain_2_p99_us": (200, False),
    "graph_chain_2_1mib_p50_us": (1_000, False),
    "graph_chain_2_per_s": (50_000, True),
    "working_dir_100mb_s": (2.0, False),
    "working_dir_again_s": (0.2, False),
    "environment_warm_ms": (10, False),
    "memory_pss_mb": (200, False),
}
