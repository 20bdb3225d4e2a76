"""Clusters that outlive the process that starts them: `eagleray start`, `stop` and `status`."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from . import _api, _node

STOP_PATIENCE_S = 10.0


def start_head(
    *,
    num_cpus: float | None,
    num_gpus: float | None,
    resources: dict[str, float] | None,
    labels: dict[str, str] | None,
    object_store_memory: int | None,
    system_config: dict[str, Any] | None = None,
    temp_dir: str | None,
) -> _node.LocalNode:
    """Starts a node that stays. RuntimeError when one of this user runs already."""
    found = _node.find_running(temp_dir)
    if found is not None:
        raise RuntimeError(
            f"a cluster runs already (process {found['pid']}, {found['session_dir']}); "
            "end it with `eagleray stop`"
        )
    node = _node.LocalNode(
        resources=_api.node_resources(num_cpus, num_gpus, resources, None),
        labels=labels or {},
        settings=_api.settings_of(system_config, object_store_memory),
        temp_dir=temp_dir,
        owned=False,
    )
    node.write_address()
    return node


def stop(temp_dir: str | None = None, force: bool = False) -> list[str]:
    """Ends this user's clusters that `start` began; returns what was ended, when all is gone."""
    ended: list[str] = []
    while True:
        found: dict[str, Any] | None = _node.find_running(temp_dir)
        if found is None:
            return ended
        pid = int(found["pid"])
        os.kill(pid, signal.SIGKILL if force else signal.SIGTERM)
        deadline = time.monotonic() + STOP_PATIENCE_S
        while _runs(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                deadline += STOP_PATIENCE_S
            time.sleep(0.01)
        for name in ("address.json", "node.sock"):
            path = os.path.join(found["session_dir"], name)
            if os.path.exists(path):
                os.unlink(path)
        ended.append(f"node, process {pid} ({found['session_dir']})")


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
