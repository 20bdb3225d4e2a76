"""Metrics as Prometheus reads them (its text format 0.0.4). Names begin with `ray_`, as Ray's do."""

from __future__ import annotations

import importlib
import math
import os
from collections import Counter, defaultdict
from typing import Any

import eagleray as ray

from .._state import client
from ._metrics_recorder import Tags

STATE_S = 2.0  # that a scrape waits for counts of tasks and actors


def _escaped(text: str) -> str:
    text = text.encode(errors="replace").decode()  # names of files may have what is no Unicode
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _labels(tags: Tags) -> str:
    """Tag names that Prometheus does not take get underscores."""
    shown = []
    for name, value in tags:
        safe = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
        quoted = _escaped(value).replace('"', '\\"')
        shown.append(f'{"_" if safe[:1].isdigit() else ""}{safe}="{quoted}"')
    return "{" + ",".join(shown) + "}" if shown else ""


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(float(value))


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {_escaped(text)}", f"# TYPE {name} {kind}"]


def _buckets(name: str, tags: Tags, bounds: tuple[float, ...], counts: list[Any]) -> list[str]:
    lines, total = [], 0
    for bound, count in zip([*map(_number, bounds), "+Inf"], counts, strict=False):
        total += count
        lines.append(f"{name}_bucket{_labels((*tags, ('le', bound)))} {total}")
    lines.append(f"{name}_sum{_labels(tags)} {_number(counts[-1])}")
    lines.append(f"{name}_count{_labels(tags)} {total}")
    return lines


def _also_as_gauge() -> bool:
    """Whether a counter `x` is also there as the gauge `ray_x`, its name before Ray 2.10. In Ray 2.60, too, only
    these switches of Ray's bring it back."""
    without_otel = os.environ.get("RAY_enable_open_telemetry", "1").lower() in ("0", "false")
    wanted = os.environ.get("RAY_EXPORT_COUNTER_AS_GAUGE", "1" if without_otel else "0")
    return wanted.lower() in ("1", "true")


def exposition(
    said: dict[str, tuple[str, str, str, tuple[float, ...]]],
    values: dict[tuple[str, Tags, str], Any],
) -> str:
    """The metrics of programs. A gauge has its process as the label WorkerId."""
    by_name = defaultdict(list)
    for (name, tags, process), value in values.items():
        by_name[name].append((tags + ((("WorkerId", process),) if process else ()), value))
    lines: list[str] = []
    as_gauge = _also_as_gauge()
    for name, rows in sorted(by_name.items()):
        kind, _, text, bounds = said[name]
        shown = f"ray_{name}"
        if kind == "counter" and not name.endswith("_total"):
            shown += "_total"
        lines += _head(shown, kind, text)
        for tags, value in sorted(rows, key=lambda row: row[0]):
            if kind == "histogram":
                lines += _buckets(shown, tags, bounds, value)
            else:
                lines.append(f"{shown}{_labels(tags)} {_number(value)}")
        if as_gauge and kind == "counter" and shown != f"ray_{name}":
            old = f"ray_{name}"
            lines += _head(old, "gauge", f"Deprecated: use {shown}. {text}".rstrip())
            lines += [f"{old}{_labels(tags)} {_number(value)}" for tags, value in rows]
    return "".join(line + "\n" for line in lines)


def system_metrics(dropped: int) -> str:
    """What the cluster does, as it is now."""
    total, free = ray.cluster_resources(), ray.available_resources()
    node = client().node_status()
    capacity = total.get("object_store_memory", 0.0)
    free["object_store_memory"] = capacity - node["store_used"]
    workers = [p for p in node["processes"] if p["kind"] == "worker"]
    running: list[tuple[Tags, float]] = [
        ((("State", "RUNNING"),), sum(1 for worker in workers if worker["what"])),
        (
            (("State", "PENDING_NODE_ASSIGNMENT"),),
            sum(demand["count"] for demand in node["demands"]),
        ),
    ]
    kinds = Counter(process["kind"] for process in node["processes"])
    tables: list[tuple[str, str, list[tuple[Tags, float]]]] = [
        (
            "ray_resources",
            "Resources by name and state.",
            [
                ((("Name", name), ("State", said)), amount)
                for name, whole in sorted(total.items())
                for said, amount in (
                    ("USED", whole - free.get(name, 0.0)),
                    ("AVAILABLE", free.get(name, 0.0)),
                )
            ],
        ),
        ("ray_object_store_used_memory", "Bytes of objects.", [((), node["store_used"])]),
        (
            "ray_object_store_available_memory",
            "Bytes that objects may take.",
            [((), capacity - node["store_used"])],
        ),
        ("ray_tasks", "Tasks by name and state.", _counts("tasks") or running),
        ("ray_actors", "Actors by class and state.", _counts("actors")),
        (
            "eagleray_processes",
            "Drivers and workers.",
            [((("Kind", kind),), count) for kind, count in sorted(kinds.items())],
        ),
        (
            "eagleray_process_resident_bytes",
            "Resident memory of drivers and workers.",
            [
                ((("Kind", p["kind"]), ("Pid", str(p["pid"]))), _resident_bytes(p["pid"]))
                for p in node["processes"]
            ],
        ),
        (
            "eagleray_metrics_dropped",
            "Values for which there was no room any more, or whose metric another process has with another kind.",
            [((), dropped)],
        ),
    ]
    lines = []
    for name, text, rows in tables:
        lines += _head(name, "gauge", text)
        lines += [f"{name}{_labels(tags)} {_number(value)}" for tags, value in rows]
    return "".join(line + "\n" for line in lines)


def _counts(what: str) -> list[tuple[Tags, float]]:
    """How many tasks or actors of which name are in which state, as ray.util.state knows; none where it does
    not."""
    try:
        module = importlib.import_module("eagleray.util.state")
        summary = getattr(module, f"summarize_{what}")(timeout=STATE_S)["cluster"]["summary"]
        return [
            ((("Name", name), ("State", said)), count)
            for name, row in sorted(summary.items())
            for said, count in sorted(row["state_counts"].items())
        ]
    except (NotImplementedError, ImportError, ray.exceptions.RayError, KeyError, OSError):
        return []


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
