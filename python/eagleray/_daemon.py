"""Clusters that outlive the process that starts them: `eagleray start`, `stop` and `status`."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import signal
import socket
import time
from types import FrameType
from typing import Any

from . import _api, _init_arguments, _node, _old_sessions, _token, _utilities
from ._processes import children_of, runs

STOP_PATIENCE_S = 10.0
LOOPBACK = "127.0.0.1"
JOBS_PORT, PORTS_TRIED = 8265, 50


def start_head(
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: dict[str, float] | None = None,
    memory: int | None = None,
    labels: dict[str, str] | None = None,
    object_store_memory: int | None = None,
    system_config: dict[str, Any] | None = None,
    temp_dir: str | None = None,
    node_ip_address: str | None = None,
    port: int | None = None,
    dashboard_host: str | None = None,
    dashboard_port: int | None = None,
    jobs: bool = True,
    tracing_startup_hook: str | None = None,
    metrics_export_port: int | None = None,
) -> _node.LocalNode:
    """Starts a node that stays. RuntimeError when one of this user runs already; TypeError and ValueError for
    what cannot be meant. jobs: whether it takes them, at dashboard_host and dashboard_port. tracing_startup_hook: of
    all programs that connect. metrics_export_port: where metrics are served at once."""
    _utilities.check_hook(tracing_startup_hook)
    given = {
        "num_cpus": num_cpus,
        "num_gpus": num_gpus,
        "resources": resources,
        "_memory": memory,
        "labels": labels,
        "object_store_memory": object_store_memory,
        "_system_config": system_config,
    }
    _init_arguments.check_node(given)
    if node_ip_address is not None:
        ipaddress.ip_address(node_ip_address)  # ValueError
    found = _node.find_running(temp_dir)
    if found is not None:
        raise RuntimeError(
            f"a cluster runs already (process {found['pid']}, {found['session_dir']}); "
            "end it with `eagleray stop`"
        )
    token = _token.given(os.environ) or _token.make()
    _token.forget(os.environ)
    door = _open_door(dashboard_host or LOOPBACK, dashboard_port) if jobs else None
    node: _node.LocalNode = _api.new_node(
        given, temp_dir=temp_dir, owned=False, address=node_ip_address, door=door
    )
    _token.write(os.path.join(node.session_dir, _token.FILE), token)
    node.write_address(port, _url_of(door) if door else None)
    node.remove_old_sessions()
    if door:
        door.close()  # the guard has it
    if tracing_startup_hook is not None:
        with open(os.path.join(node.session_dir, _utilities.HOOK_FILE), "w") as file:
            file.write(tracing_startup_hook)
    if metrics_export_port is not None:
        with _api.init("auto", log_to_driver=False, _temp_dir=temp_dir):
            _utilities.serve_metrics(metrics_export_port)
    return node


def _open_door(host: str, port: int | None) -> socket.socket:
    """Where jobs are submitted. Without a wish, the first free port from 8265 on. OSError when it cannot be had."""
    if port is not None:
        return _listen(host, port)
    for candidate in (*range(JOBS_PORT, JOBS_PORT + PORTS_TRIED), 0):
        try:
            return _listen(host, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "no port is free for the job end point")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise OSError(
            error.errno,
            f"the job end point cannot listen on {host}:{port} ({error.strerror}); "
            "--dashboard-port takes another, --include-dashboard false does without",
        ) from None


def _url_of(door: socket.socket) -> str:
    host, port = door.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = LOOPBACK
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Vigil:
    """Of a process that stays as long as its node: from here on SIGINT and SIGTERM end the node."""

    def __init__(self, node: _node.LocalNode) -> None:
        self._node = node
        self._asked = False
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGTERM, self._end)

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True
        if self._node.process.poll() is None:
            self._node.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """The exit status, when the node has ended: 1 when it died."""
        status = self._node.process.wait()
        self._node.remove_address()
        _old_sessions.remove_part(self._node.session_dir, _old_sessions.SCRATCH)
        return 0 if self._asked or status == 0 else 1


def stop(
    temp_dir: str | None = None, force: bool = False, grace_s: float | None = None
) -> list[str]:
    """Ends this user's clusters that `start` began; returns what was ended, when all is gone."""
    patience_s = STOP_PATIENCE_S if grace_s is None else grace_s
    ended: list[str] = []
    while True:
        found: dict[str, Any] | None = _node.find_running(temp_dir)
        if found is None:
            return ended
        guard = int(found["pid"])
        if not force:
            _send(signal.SIGTERM, guard)
        if force or not _ends(guard, patience_s):
            # The node; the guard ends what that has left.
            _send(signal.SIGKILL, *children_of(guard))
            while not _ends(guard, STOP_PATIENCE_S):
                _send(signal.SIGKILL, guard)
        for name in ("address.json", "node.sock", _token.FILE):
            with contextlib.suppress(FileNotFoundError):  # `start --block` removes its own
                os.unlink(os.path.join(found["session_dir"], name))
        _old_sessions.remove_part(found["session_dir"], _old_sessions.SCRATCH)
        ended.append(f"node, process {guard} ({found['session_dir']})")


def _send(sent: signal.Signals, *pids: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, sent)


def _ends(pid: int, patience_s: float) -> bool:
    """Whether it does so within this time."""
    deadline = time.monotonic() + patience_s
    while runs(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
