"""Whether a process runs, and which one it is, by /proc."""

from __future__ import annotations


def runs(pid: int | str) -> bool:
    """Whether the process `pid` of this machine runs. One that has ended does not, also while it is a zombie: its
    parent has not been told yet."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


PID_BITS = 32  # more than Linux has


def name_of(pid: int | str) -> int:
    """A number of that process alone: whoever gets its process id later has another. 0: it does not run."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    ticks = int(fields[19])  # from the machine's start to its own
    return 0 if fields[0] == "Z" else (ticks % (1 << 31)) << PID_BITS | int(pid)


def still_runs(name: int) -> bool:
    """Whether the process of which name_of() has made this number runs."""
    return name_of(name % (1 << PID_BITS)) == name
