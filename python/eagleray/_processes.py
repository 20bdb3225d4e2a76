"""Whether a process runs, by /proc."""

from __future__ import annotations


def runs(pid: int | str) -> bool:
    """Whether the process `pid` of this machine runs. One that has ended does not, also while it is a zombie: its
    parent has not been told yet."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
