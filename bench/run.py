"""Runs the core benchmark: ours, and with --peer ray the identical program on Ray (in .venv-ray), in
alternation, each in a fresh process. Prints figures, their ratio, and the bound to reach. --peer sb3: Stable-Baselines3 (in
.venv-ray) beside the rows of learning; both peers may be named.

    python bench/run.py [ROW ...] [--scale|--libraries|--utility] [--peer ray sb3] [--repeat 3] [--smoke]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def row_module(kind):
    sys.path.insert(0, HERE)
    return importlib.import_module(f"{kind}_rows")


def side(name, rows, n, kind):
    """In the fresh process: measures and prints one JSON line."""
    module = row_module(kind)
    if name == "sb3":
        figures = {}
        for row in getattr(module, "SB3_ROWS", []):
            if not rows or row.__name__.removeprefix("sb3_") in rows:
                figures.update(row(n))
        print(json.dumps(figures))
        return

    start = time.perf_counter()
    if name == "ray":
        import ray
    else:
        import eagleray as ray
    figures = {"import_s": time.perf_counter() - start}
    start = time.perf_counter()
    ray.init(num_cpus=4, object_store_memory=2 << 30, log_to_driver=False)
    figures["init_s"] = time.perf_counter() - start
    start = time.perf_counter()
    ray.get(ray.remote(lambda: 1).remote())
    figures["first_task_s"] = time.perf_counter() - start
    for row in module.ROWS:
        if not rows or row.__name__ in rows:
            figures.update(row(ray, n))
    start = time.perf_counter()
    ray.shutdown()
    figures["shutdown_s"] = time.perf_counter() - start
    print(json.dumps(figures))


def run_side(name, rows, n, kind):
    python = sys.executable
    if name != "eagleray":
        python = os.path.join(os.path.dirname(HERE), ".venv-ray", "bin", "python")
    command = [python, os.path.abspath(__file__), "--side", name, "--n", str(n), *rows]
    command += ["--kind", kind]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=1800, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "rows", nargs="*", help="names of functions in core_rows.py; all by default"
    )
    parser.add_argument("--peer", nargs="+", choices=["ray", "sb3"], default=[])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="tiny input; only that it runs")
    parser.set_defaults(kind="core")
    for kind in ("scale", "library", "utility", "state"):
        parser.add_argument(
            "--libraries" if kind == "library" else f"--{kind}",
            action="store_const",
            dest="kind",
            const=kind,
            help=f"the rows of {kind}_rows.py instead",
        )
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    parser.add_argument("--n", type=float, default=1.0, help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side(options.side, options.rows, options.n, options.kind)
        return
    n = 0.01 if options.smoke else options.n
    found = {name: [] for name in ("eagleray", *options.peer)}
    for _ in range(1 if options.smoke else options.repeat):
        for name, runs in found.items():
            runs.append(run_side(name, options.rows, n, options.kind))
    show(found, row_module(options.kind).REACH, options.smoke)


def show(found, reach, smoke):
    """A line a measure: ours, each peer's with how many times better ours is, and the bound."""
    ours, peers = (
        found["eagleray"],
        {name: runs for name, runs in found.items() if name != "eagleray"},
    )
    print(f"{'measure':28}{'ours':>14}", end="")
    print("".join(f"{name:>14}{'times better':>14}" for name in peers or [""]) + f"{'reach':>12}")
    for name, (bound, higher) in reach.items():
        if name not in ours[0]:
            continue
        mine = statistics.median(run[name] for run in ours)
        met = "" if smoke else (" ok" if (mine >= bound) == higher or mine == bound else " no")
        line = f"{name:28}{mine:14,.4g}"
        for runs in peers.values():
            if name in runs[0]:
                peer = statistics.median(run[name] for run in runs)
                line += f"{peer:14,.4g}{(mine / peer if higher else peer / mine):14,.1f}"
            else:
                line += " " * 28
        print(line + ("" if peers else " " * 28) + f"{bound:>12,}{met}")


if __name__ == "__main__":
    main()
