"""What `eagleray status` shows: gathered as plain values, then told as text."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import Any

from . import _api, _node
from ._processes import parents
from ._state import client

_BYTES = {"memory", "object_store_memory"}
_LINE = "-" * 63
_OF_A_GROUP = re.compile(r"(.+)_group_(\d+_)?[0-9a-f]{36}")


def facts(temp_dir: str | None = None) -> dict[str, Any]:
    """Of the cluster that this process is connected to; JSON can hold it."""
    from .util.placement_group import placement_group_table

    total, free = _api.cluster_resources(), _api.available_resources()
    node = client().node_status()
    free["object_store_memory"] = total.get("object_store_memory", 0) - node["store_used"]
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "nodes": _api.nodes(),
        "resources": [
            {"resource": name, "used": amount - free.get(name, 0.0), "total": amount}
            for name, amount in sorted(total.items())
        ],
        "demands": [
            {
                "resources": _api.amounts(demand["resources"]),
                "count": demand["count"],
                "what": demand["what"],
                "reason": demand["reason"],
            }
            for demand in node["demands"]
        ],
        "metrics": _metrics_url(),
        "placement_groups": list(placement_group_table().values()),
        "processes": [
            {**each, "memory": _private_bytes(each["pid"])}
            for each in _programs(temp_dir, node["processes"]) + node["processes"]
        ],
    }


def _metrics_url() -> str | None:
    from .util._metrics_server import find_address

    address = find_address(client().info()["session_dir"])
    return f"http://{address}/metrics" if address else None


def _private_bytes(pid: int) -> int:
    """Resident memory without what is shared with other processes; 0 when it has just ended."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            _, resident, shared = file.read().split()[:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def _programs(temp_dir: str | None, clients: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the cluster consists of besides drivers and workers."""
    running = _node.find_running(temp_dir)
    known = {client["pid"] for client in clients}
    found = _descendants(int(running["pid"])) if running else []
    return [{**each, "kind": "program"} for each in found if each["pid"] not in known]


def _descendants(root: int) -> list[dict[str, Any]]:
    """The node and all below it, by /proc: the programs, and workers by what they run."""
    return [{"pid": pid, "what": what} for pid in descendants(root) if (what := title(pid))]


def descendants(root: int) -> list[int]:
    """`root` and all processes below it, zombies left out."""
    parent_of = parents()
    return [pid for pid in sorted(parent_of) if _is_below(pid, root, parent_of)]


def _is_below(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid != root and pid in parents:
        pid = parents[pid]
    return pid == root


def title(pid: int) -> str:
    """What a process is, by its command line, for people; empty: it does not run."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().decode(errors="replace").split("\0")
    except OSError:
        return ""
    if words[0].startswith("ray::"):
        return words[0].strip()
    if len(words) > 3 and "eagleray.job_submission._server" in words[2]:
        return "eagleray-jobs"
    name = os.path.basename(words[0])
    return name if name.startswith("eagleray-") else " ".join([name, *words[1:3]]).strip()


def text_of(facts: dict[str, Any], verbose: bool = False) -> str:
    lines = [f"======== eagleray status: {facts['time']} ========", "Node status", _LINE, "Active:"]
    for node in facts["nodes"]:
        lines.append(f" 1 node_{node['NodeID']} ({node['NodeManagerAddress']})")
        if verbose:
            lines += [f"   {key}={value}" for key, value in sorted(node["Labels"].items())]
    lines += ["", "Resources", _LINE, "Usage:"]
    for name, used, total, note in resources(facts):
        if verbose or not name.startswith("node:"):
            lines.append(f" {amount(name, used)}/{amount(name, total)} {name}{note}")
    lines += ["Pending Demands:"]
    for demand in facts["demands"]:
        lines.append(f" {demand['resources']}: {demand['count']}+ {demand['what']}")
        lines.append(f"   {demand['reason']}")
    for group in facts["placement_groups"]:
        if group["state"] == "PENDING":
            bundles = list(group["bundles"].values())
            lines.append(f" {bundles} ({group['strategy']}): 1 placement group")
            if "why" in group["stats"]:
                lines.append(f"   {group['stats']['why']}")
    if lines[-1] == "Pending Demands:":
        lines.append(" (no resource demands)")
    if verbose:
        lines += ["", "Placement groups", _LINE]
        for group in facts["placement_groups"]:
            name = group["name"] or group["placement_group_id"]
            lines.append(f" {name}: {group['state']}, {len(group['bundles'])} bundle(s)")
    lines += ["", "Processes", _LINE]
    for process in facts["processes"]:
        lines.append(f" {process['pid']:>8}  {process['kind']:7} {process['what']}")
    if facts["metrics"]:
        lines += ["", f"Metrics: {facts['metrics']}"]
    return "\n".join(lines)


def resources(facts: dict[str, Any]) -> Iterator[tuple[str, float, float, str]]:
    """Name, used, total, and what placement groups have reserved, which is used where tasks use it. The groups'
    own names are left out. As in Ray."""
    in_groups: dict[str, tuple[float, float]] = {}
    for row in facts["resources"]:
        of_group = _OF_A_GROUP.fullmatch(row["resource"])
        if of_group and not of_group[2]:
            used, reserved = in_groups.get(of_group[1], (0.0, 0.0))
            in_groups[of_group[1]] = (used + row["used"], reserved + row["total"])
    for row in facts["resources"]:
        name = row["resource"]
        if _OF_A_GROUP.fullmatch(name):
            continue
        used, reserved = in_groups.get(name, (0.0, 0.0))
        shown = f"{amount(name, used)} used of {amount(name, reserved)} reserved"
        note = f" ({shown} in placement groups)" if reserved else ""
        yield name, row["used"] - reserved + used, row["total"], note


def amount(name: str, value: float) -> str:
    """Of a resource, as people read it."""
    if name not in _BYTES:
        return f"{value:g}" if value != int(value) else f"{value:.1f}"
    unit = "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value >= 1024:
            value, unit = value / 1024, larger
    return f"{value:.0f}B" if unit == "B" else f"{value:.2f}{unit}"
