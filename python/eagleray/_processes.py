"""Whether a process runs, and which one it is, by /proc."""

from __future__ import annotations

import os

PID_BITS = 32  # more than Linux has


def stat_of(pid: int | str) -> list[str]:
    """What /proc/PID/stat has behind the process's name: its state, its parent's id, ...; [] if it does not run. One
    that has ended does not, also while it is a zombie: its parent has not been told yet."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return []
    return [] if fields[0] == "Z" else fields


def runs(pid: int | str) -> bool:
    """Whether the process `pid` of this machine runs."""
    return bool(stat_of(pid))


def children_of(pid: int) -> list[int]:
    """The processes that `pid` has started or adopted and that run."""
    return [each for each, parent in parents().items() if parent == pid]


def parents() -> dict[int, int]:
    """Of each process of this machine that runs, its parent."""
    names = filter(str.isdigit, os.listdir("/proc"))
    return {int(name): int(fields[1]) for name in names if (fields := stat_of(name))}


def name_of(pid: int | str) -> int:
    """A number of that process alone: whoever gets its process id later has another. 0: it does not run."""
    fields = stat_of(pid)
    ticks = int(fields[19]) if fields else 0  # from the machine's start to its own
    return (ticks % (1 << 31)) << PID_BITS | int(pid) if fields else 0


def namespace() -> int:
    """A number of the processes among which a process id means this or that one: a container may have its own."""
    return os.stat("/proc/self/ns/pid").st_ino


def tracer_of(pid: int) -> int:
    """The process that traces `pid` (a debugger, a profiler), or 0."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(row.split()[1]) for row in file if row.startswith("TracerPid:")), 0)
    except OSError:
        return 0


def still_runs(name: int) -> bool:
    """Whether the process of which name_of() has made this number runs."""
    return name_of(name % (1 << PID_BITS)) == name
