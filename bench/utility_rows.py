"""Rows of the utilities. Run with `bench/run.py --utility`; as core_rows: functions of (ray, n), public API only, the same
program for Ray where its environment has what a row needs."""

from __future__ import annotations

import importlib
import time

WORK_S = 0.012  # of processor, a task of the joblib row


def _util(ray, name):
    return importlib.import_module(f"{ray.__name__}.util.{name}")


def _identity(x):
    return x


def pool_maps(ray, n):
    """Trivial items through a Pool of two, with the default chunks and one at a time."""
    count = max(int(100_000 * n), 100)
    figures = {}
    with _util(ray, "multiprocessing").Pool(2) as pool:
        pool.map(_identity, range(100))
        for name, chunksize in (("pool_map_per_s", None), ("pool_map_chunk_1_per_s", 1)):
            items = count if chunksize is None or ray.__name__ != "ray" else count // 20
            began = time.perf_counter()
            pool.map(_identity, range(items), chunksize=chunksize)
            figures[name] = items / (time.perf_counter() - began)
    return figures


def _work(_):
    began = time.process_time()
    while time.process_time() - began < WORK_S:
        pass


def joblib_speedup(ray, n):
    """How many times faster joblib is on two cores than on one, with tasks of 12 ms."""
    if ray.__name__ == "ray":
        return {}
    import joblib

    _util(ray, "joblib").register_ray()
    count = max(int(200 * n), 4)
    seconds = {}
    for backend, jobs in (("sequential", 1), ("ray", 2)):
        with joblib.parallel_config(backend=backend):
            parallel = joblib.Parallel(n_jobs=jobs)
            parallel(joblib.delayed(_identity)(i) for i in range(4))
            began = time.perf_counter()
            parallel(joblib.delayed(_work)(i) for i in range(count))
            seconds[backend] = time.perf_counter() - began
    return {"joblib_speedup": seconds["sequential"] / seconds["ray"]}


def counting(ray, n):
    """What Counter.inc() costs."""
    counter = _util(ray, "metrics").Counter("bench_counter", tag_keys=("a",))
    counter.set_default_tags({"a": "b"})
    count = max(int(200_000 * n), 100)
    began = time.perf_counter()
    for _ in range(count):
        counter.inc()
    return {"counter_inc_us": (time.perf_counter() - began) / count * 1e6}


def dask_tasks(ray, n):
    """Trivial tasks of Dask's a second."""
    if ray.__name__ == "ray":
        return {}
    get = _util(ray, "dask").ray_dask_get
    count = max(int(5_000 * n), 50)
    graph = {f"t{i}": (_identity, i) for i in range(count)}
    began = time.perf_counter()
    get(graph, list(graph))
    return {"dask_tasks_per_s": count / (time.perf_counter() - began)}


ROWS = [pool_maps, joblib_speedup, counting, dask_tasks]
# name: bound, whether higher is better
REACH = {
    "pool_map_per_s": (1_000_000, True),
    "pool_map_chunk_1_per_s": (22_900, True),  # multiprocessing.Pool's on the machine of BASELINES
    "joblib_speedup": (1.7, True),
    "counter_inc_us": (3.0, False),
    "dask_tasks_per_s": (3_000, True),
}
