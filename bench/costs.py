"""Counts what a call costs on each side: the figures of docs/design/hot-path.md.

    ./dev costs

Each operation runs some thousand times in a process with count_costs.c preloaded, once as users run it and
once with Python's small objects taken from malloc too (the difference is the Python objects made). Numbers
are per operation; `copied` is in payloads, from a second run with a large payload.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.join(os.path.dirname(HERE), "build", "costs", "count_costs.so")
NAMES = ("allocations", "locks", "copied", "sleeps", "rings", "other_calls")
COUNT = 2_000


def counts() -> list[int]:
    out = (ctypes.c_uint64 * len(NAMES))()
    ctypes.CDLL(None).eagleray_costs(out)
    return list(out)


def in_process(payload_bytes: int) -> dict[str, dict[str, list[float]]]:
    """{operation: {side: [cost per operation, in the order of NAMES]}}"""
    import eagleray as ray

    ray.init(num_cpus=1, log_to_driver=False, object_store_memory=2 << 30)
    payload = b"x" * payload_bytes

    @ray.remote
    def echo(value):
        return value

    @ray.remote
    def counts_there():
        return counts()

    @ray.remote(num_cpus=0)
    class Echo:
        def echo(self, value):
            return value

        def counts(self):
            return counts()

    actor, second = Echo.remote(), Echo.remote()
    from eagleray.dag import InputNode

    with InputNode() as inp:
        node = second.echo.bind(inp)
    graph = node.experimental_compile()
    ready = [ray.put(payload) for _ in range(10)]

    def repeat(call):
        for _ in range(COUNT):
            call()

    def batch(remote):
        for _ in range(COUNT // 1000):
            ray.get([remote(payload) for _ in range(1000)])

    operations = {
        "task, then get": (lambda: repeat(lambda: ray.get(echo.remote(payload))), counts_there),
        "1,000 tasks, then get": (lambda: batch(echo.remote), counts_there),
        "actor call, then get": (
            lambda: repeat(lambda: ray.get(actor.echo.remote(payload))),
            actor.counts,
        ),
        "1,000 actor calls, then get": (lambda: batch(actor.echo.remote), actor.counts),
        "compiled graph of one actor, then get": (
            lambda: repeat(lambda: graph.execute(payload).get()),
            second.counts,
        ),
        "put": (lambda: repeat(lambda: ray.put(payload)), None),
        "get of what is there": (lambda: repeat(lambda: ray.get(ready[0])), None),
    }
    found = {}
    for name, (run, there) in operations.items():
        run()  # warm: leases, links, interned functions
        sides = {}
        before_there = ray.get(there.remote()) if there else []
        before = counts()
        run()
        after = counts()
        after_there = ray.get(there.remote()) if there else []
        sides["caller"] = [(b - a) / COUNT for a, b in zip(before, after, strict=True)]
        if there:
            sides["worker"] = [
                (b - a) / COUNT for a, b in zip(before_there, after_there, strict=True)
            ]
        found[name] = sides
    ray.shutdown()
    return found


def measure(payload_bytes: int, small_from_malloc: bool) -> dict[str, dict[str, list[float]]]:
    env = {**os.environ, "LD_PRELOAD": LIBRARY}
    if small_from_malloc:
        env["PYTHONMALLOC"] = "malloc"
    command = [sys.executable, os.path.abspath(__file__), "--payload", str(payload_bytes)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, dict[str, list[float]]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payload", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.payload is not None:
        print(json.dumps(in_process(options.payload)))
        return
    os.makedirs(os.path.dirname(LIBRARY), exist_ok=True)
    source = os.path.join(HERE, "count_costs.c")
    subprocess.run(
        ["cc", "-O2", "-fno-builtin", "-shared", "-fPIC", source, "-o", LIBRARY, "-ldl"], check=True
    )
    large_bytes = 64 << 10
    small, with_objects, large = (
        measure(10, False),
        measure(10, True),
        measure(large_bytes, False),
    )
    header = ("allocations", "objects", "locks", "copies", "sleeps", "rings", "other calls")
    print(f"{'per operation':38}" + "".join(f"{name:>13}" for name in header))
    for name, sides in small.items():
        for side, costs in sides.items():
            of = dict(zip(NAMES, costs, strict=True))
            objects = with_objects[name][side][0] - of["allocations"]
            copies = (large[name][side][2] - of["copied"]) / large_bytes
            row = (of["allocations"], objects, of["locks"], copies)
            row += (of["sleeps"], of["rings"], of["other_calls"])
            print(f"{name + ': ' + side:38}" + "".join(f"{figure:13.2f}" for figure in row))


if __name__ == "__main__":
    main()
