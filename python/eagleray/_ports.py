"""What processes listen on, by /proc."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from typing import Any

_LISTEN = "0A"


def listening(pids: list[int]) -> list[dict[str, Any]]:
    """address, port, pid, loopback: one a socket; the first process that has it."""
    sockets: dict[str, tuple[str, int]] = {}
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{name}") as rows:
            for row in rows.readlines()[1:]:
                words = row.split()
                if words[3] == _LISTEN:
                    address, port = words[1].split(":")
                    sockets[words[9]] = (_address_of(address), int(port, 16))
    found: dict[str, dict[str, Any]] = {}
    for pid in pids:
        for inode in _sockets_of(pid):
            if inode in sockets and inode not in found:
                address, number = sockets[inode]
                found[inode] = {
                    "address": address,
                    "port": number,
                    "pid": pid,
                    "loopback": ipaddress.ip_address(address).is_loopback,
                }
    return list(found.values())


def _address_of(text: str) -> str:
    """The kernel prints words of 32 bits in the machine's order."""
    raw = bytes.fromhex(text)
    words = [raw[i : i + 4][::-1] for i in range(0, len(raw), 4)]
    return str(ipaddress.ip_address(b"".join(words)))


def _sockets_of(pid: int) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if target.startswith("socket:["):
                    found.append(target[len("socket:[") : -1])
    return found
