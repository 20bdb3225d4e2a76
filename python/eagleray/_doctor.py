"""Looks at what limits eagleray on this machine and says what to do."""

from __future__ import annotations

import os
import resource
from typing import NamedTuple


class Finding(NamedTuple):
    good: bool
    what: str
    advice: str


def examine() -> list[Finding]:
    """One finding per check."""
    found = []
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    found.append(
        Finding(
            files >= 4096,
            f"open files: {files}",
            "raise it: `ulimit -n 65536` (each worker uses about 10)",
        )
    )
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    enough = processes == resource.RLIM_INFINITY or processes >= 1024
    found.append(Finding(enough, f"processes: {processes}", "raise it: `ulimit -u 4096`"))
    free = _memory_available()
    found.append(
        Finding(free > 1 << 30, f"free memory: {free >> 20} MiB", "less than 1 GiB: end something")
    )
    limit = _cgroup_memory()
    found.append(
        Finding(
            limit is None or limit > 1 << 30,
            f"memory limit of the cgroup: {'none' if limit is None else f'{limit >> 20} MiB'}",
            "give the container more memory, or pass object_store_memory",
        )
    )
    release = os.uname().release
    version = tuple(int(x) for x in release.split("-")[0].split(".")[:2])
    found.append(
        Finding(
            version >= (5, 4), f"kernel: {release}", "5.4 or later is needed (pidfd, memfd seals)"
        )
    )
    found.append(Finding(hasattr(os, "memfd_create"), "memfd", "the C library lacks memfd_create"))
    clock = (
        _first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource") or "unknown"
    )
    found.append(
        Finding(
            clock not in ("acpi_pm", "hpet"),
            f"clock source: {clock}",
            "reading this clock is slow: prefer tsc or kvm-clock",
        )
    )
    return found


def _first_line(path: str) -> str | None:
    try:
        with open(path) as file:
            return file.readline().strip()
    except OSError:
        return None


def _memory_available() -> int:
    with open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def _cgroup_memory() -> int | None:
    text = _first_line("/sys/fs/cgroup/memory.max")
    return int(text) if text and text.isdigit() else None
