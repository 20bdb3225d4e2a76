"""Looks at what limits eagleray on this machine and says what to do."""

from __future__ import annotations

import mmap
import os
import resource
import shutil
import sys
import time
from typing import NamedTuple

GIB = 1 << 30
FILES_MIN = 4096
PROCESSES_MIN = 1024
SOCKET_PATH_MAX = 107  # of the kernel, without the final zero
SESSION_PATH = "/session_2026-01-01_00-00-00_1234567_12/node.sock"  # the longest that sockets get


class Finding(NamedTuple):
    good: bool
    what: str
    advice: str


def examine(temp_dir: str | None = None) -> list[Finding]:
    """One finding per check, whatever the others say."""
    return [
        _python(),
        _programs(),
        _kernel(),
        _open_files(),
        _processes(),
        _memory(),
        _shared_memory(),
        *_cgroup(),
        *_clock(),
        *_sessions(temp_dir),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(sys.version_info >= (3, 10), f"Python: {version}", "3.10 or newer is needed")


def _programs() -> Finding:
    from . import _node

    try:
        path = os.path.dirname(_node.program("eagleray-node"))
        _node.program("eagleray-control")
    except RuntimeError as error:
        return Finding(False, "programs: not there", str(error))
    return Finding(True, f"programs: in {path}", "")


def _kernel() -> Finding:
    release = os.uname().release
    version = tuple(int(x) for x in release.split("-")[0].split(".")[:2])
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return Finding(
            False,
            f"kernel: {release}, without pidfd_open ({error.strerror})",
            "5.4 or later is needed; in a container, a seccomp profile that allows pidfd_open",
        )
    return Finding(version >= (5, 4), f"kernel: {release}", "5.4 or later is needed (pidfd)")


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The soft limit is raised by eagleray itself.
    return Finding(
        hard == resource.RLIM_INFINITY or hard >= FILES_MIN,
        f"open files: {soft}, may be raised to {hard}",
        f"fewer than {FILES_MIN}, and each worker uses about 10: raise `ulimit -Hn`, or LimitNOFILE= of the "
        "service, or --ulimit nofile= of the container",
    )


def _processes() -> Finding:
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    endless = limit == resource.RLIM_INFINITY
    return Finding(
        endless or limit >= PROCESSES_MIN,
        f"processes of this user: {'no limit' if endless else limit}",
        f"fewer than {PROCESSES_MIN}: raise it, `ulimit -u {4 * PROCESSES_MIN}`",
    )


def _memory() -> Finding:
    free = 0
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    return Finding(
        free >= GIB,
        f"free memory: {_size(free)}",
        "less than 1 GiB: end something, or expect little",
    )


def _shared_memory() -> Finding:
    """The object store is made of memfds: their limit is memory's, not the size of /dev/shm."""
    try:
        fd = os.memfd_create("eagleray-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, 1 << 20)
            with mmap.mmap(fd, 1 << 20) as shared:
                shared[0] = 1
        finally:
            os.close(fd)
    except (AttributeError, OSError) as error:
        return Finding(
            False,
            f"shared memory: memfd does not work ({error})",
            "a kernel and a seccomp profile that allow memfd_create are needed",
        )
    return Finding(True, "shared memory: memfd works", "")


def _cgroup() -> list[Finding]:
    """Of this process and those above it (version 2; of version 1 only memory at its root)."""
    memory = processes = None
    cores: float | None = None
    for path in _cgroup_paths():
        memory = _least(memory, _first_line(f"{path}/memory.max"))
        processes = _least(processes, _first_line(f"{path}/pids.max"))
        quota, _, period = (_first_line(f"{path}/cpu.max") or "max").partition(" ")
        if quota.isdigit() and period.isdigit():
            share = int(quota) / int(period)
            cores = share if cores is None else min(cores, share)
    old = _first_line("/sys/fs/cgroup/memory/memory.limit_in_bytes")
    if old and old.isdigit() and int(old) < 1 << 60:
        memory = _least(memory, old)
    count = len(os.sched_getaffinity(0))
    return [
        Finding(
            memory is None or memory >= GIB,
            f"memory of the cgroup: {'no limit' if memory is None else _size(memory)}",
            "less than 1 GiB: give the container more, or pass a small --object-store-memory",
        ),
        Finding(
            processes is None or processes >= PROCESSES_MIN,
            f"processes of the cgroup: {'no limit' if processes is None else processes}",
            f"fewer than {PROCESSES_MIN}: raise it (--pids-limit of the container, TasksMax= of the service)",
        ),
        Finding(
            cores is None or cores + 0.5 >= count,
            f"CPU of the cgroup: {'no limit' if cores is None else f'{cores:g} of {count} cores'}",
            f"less than the cores that are seen: pass --num-cpus {max(1, round(cores or 1))}",
        ),
    ]


def _cgroup_paths() -> list[str]:
    for line in _lines("/proc/self/cgroup"):
        if line.startswith("0::"):
            parts = [part for part in line.strip()[3:].split("/") if part and part != ".."]
            return [
                "/".join(["/sys/fs/cgroup", *parts[:depth]]) for depth in range(len(parts), -1, -1)
            ]
    return ["/sys/fs/cgroup"]


def _clock() -> list[Finding]:
    source = (
        _first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource") or "unknown"
    )
    year = time.gmtime().tm_year
    return [
        Finding(
            source not in ("acpi_pm", "hpet"),
            f"clock source: {source}",
            "reading this clock takes a microsecond: prefer tsc or kvm-clock (kernel option clocksource=)",
        ),
        Finding(
            2024 <= year < 2100,
            f"clock: {time.strftime('%Y-%m-%d %H:%M:%S')}",
            "it is not set: logs and sessions would carry wrong times; set it, or start chrony",
        ),
    ]


def _sessions(temp_dir: str | None) -> list[Finding]:
    from . import _node

    root = _node.temp_root(temp_dir)
    base = root
    while not os.path.exists(base):
        base = os.path.dirname(base) or "/"
    free = shutil.disk_usage(base).free
    mine = os.access(base, os.W_OK) and (base != root or os.stat(root).st_uid == os.geteuid())
    fits = len(root) + len(SESSION_PATH) <= SOCKET_PATH_MAX
    return [
        Finding(
            mine and fits,
            f"sessions: in {root}",
            "its path is too long for sockets: pass a shorter --temp-dir"
            if mine
            else "it is not yours to write: pass --temp-dir, or set EAGLERAY_TMPDIR",
        ),
        Finding(
            free >= GIB, f"free disk there: {_size(free)}", "less than 1 GiB, for logs: make room"
        ),
    ]


# ---- reading ----


def _lines(path: str) -> list[str]:
    try:
        with open(path) as file:
            return file.readlines()
    except OSError:
        return []


def _first_line(path: str) -> str | None:
    lines = _lines(path)
    return lines[0].strip() if lines else None


def _least(known: int | None, text: str | None) -> int | None:
    if not text or not text.isdigit():
        return known
    return int(text) if known is None else min(known, int(text))


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count >> 20} MiB"
