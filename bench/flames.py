"""Draws where the processor's time goes: docs/design/flames/*.svg, one a hot path.

    ./dev flames            needs perf (Debian: linux-perf)

Width is time, of both sides together; a box stands on its caller. Waiting (spinning included) is left out,
so what remains is work.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from xml.sax.saxutils import escape

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(os.path.dirname(HERE), "docs", "design", "flames")
SECONDS = 4.0
WIDTH, ROW, SMALLEST_SHARE = 1200, 17, 0.004
WAITING = ("ClientShell::spin", "poll", "__poll", "sched_yield", "__sched_yield", "ppoll")
# Frames that say nothing about us: the interpreter's way from one function to the next.
DULL = (
    "_PyObject",
    "PyObject_",
    "_PyEval_Vector",
    "_PyFunction_",
    "do_call_core",
    "nb_func",
    "std::",
)

LOOPS = {
    "task": "ray.get([echo.remote(1) for _ in range(1000)])",
    "actor": "ray.get([actor.echo.remote(1) for _ in range(1000)])",
    "put": "kept = [ray.put(1) for _ in range(1000)]",
    "get": "values = [ray.get(ready) for _ in range(1000)]",
}
PROGRAM = """
import sys, time
import eagleray as ray
ray.init(num_cpus=1, log_to_driver=False)
@ray.remote
def echo(value): return value
@ray.remote(num_cpus=0)
class Echo:
    def echo(self, value): return value
actor, ready = Echo.remote(), ray.put(1)
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    {loop}
"""


def stacks(loop: str) -> Counter[tuple[str, ...]]:
    """{(outermost, ..., innermost): samples}"""
    with tempfile.TemporaryDirectory() as directory:
        data = os.path.join(directory, "perf.data")
        subprocess.run(
            ["perf", "record", "-q", "-F", "997", "-e", "cpu-clock:u", "--call-graph", "dwarf,8192"]
            + ["-o", data, sys.executable, "-c", PROGRAM.format(loop=loop), str(SECONDS)],
            check=True,
        )
        script = ["perf", "script", "--no-inline", "-F", "pid,ip,sym", "-i", data]
        text = subprocess.run(script, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: Counter[tuple[str, ...]] = Counter()
    samples = [sample.splitlines() for sample in text.split("\n\n") if sample.strip()]
    caller = min(int(sample[0]) for sample in samples)  # it began first
    for sample in samples:
        frames = [line.split(None, 1)[1] for line in sample[1:] if " " in line.strip()]
        names = [frame.replace("(anonymous namespace)::", "").split("(")[0] for frame in frames]
        names = [name.replace("eagleray::", "").replace("python::", "").strip() for name in names]
        if not names or any(name in WAITING for name in names):
            continue
        names = [name for name in names if not name.startswith(DULL) and name != "[unknown]"]
        begin = next(
            (i for i, name in enumerate(names) if name == "_PyEval_EvalFrameDefault"), None
        )
        if begin is not None:  # above the interpreter's loop nothing is of interest
            side = "caller" if int(sample[0]) == caller else "worker"
            found[(side, *reversed(names[: begin + 1]))] += 1
    return found


def svg(title: str, found: Counter[tuple[str, ...]]) -> str:
    total = sum(found.values())
    boxes: list[tuple[int, float, float, str]] = []

    def place(depth: int, left: float, here: Counter[tuple[str, ...]]) -> None:
        groups: dict[str, Counter[tuple[str, ...]]] = {}
        for stack, samples in here.items():
            if stack:
                groups.setdefault(stack[0], Counter())[stack[1:]] += samples
        for name, below in sorted(groups.items()):
            share = sum(below.values()) / total
            if share >= SMALLEST_SHARE:
                boxes.append((depth, left, share, name))
                place(depth + 1, left, below)
            left += share

    place(0, 0.0, found)
    rows = max(depth for depth, *_ in boxes) + 1
    height = (rows + 2) * ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="monospace" font-size="11">',
        f'<text x="4" y="{ROW - 4}">{escape(title)}: {total} samples of work</text>',
    ]
    for depth, left, share, name in boxes:
        x, y, w = left * WIDTH, height - (depth + 1) * ROW, share * WIDTH
        red = 200 + sum(name.encode()) % 55
        label = escape(name[: int(w / 6.8)]) if w > 30 else ""
        lines.append(
            f'<g><title>{escape(name)} {share:.1%}</title><rect x="{x:.1f}" y="{y}" width="{w:.1f}" '
            f'height="{ROW - 1}" fill="rgb({red},{red - 70},90)"/>'
            f'<text x="{x + 2:.1f}" y="{y + ROW - 5}">{label}</text></g>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def main() -> None:
    os.makedirs(OUT, exist_ok=True)
    for name, loop in LOOPS.items():
        with open(os.path.join(OUT, f"{name}.svg"), "w") as file:
            file.write(svg(loop, stacks(loop)))
        print(f"docs/design/flames/{name}.svg")


if __name__ == "__main__":
    main()
