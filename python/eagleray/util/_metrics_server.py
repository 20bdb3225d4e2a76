"""The cluster's metrics: a detached actor that adds up what processes send, and answers Prometheus on a port of the
loopback device. It is started by the first metric, by init(_metrics_export_port=...), by
`eagleray start --metrics-export-port` or by `eagleray metrics`; without any of these there is none.

Only this user and root are answered, which the kernel's table of connections tells, and only under a local host
name, so that a web page cannot read it. EAGLERAY_METRICS_ANY_USER=1 answers every local user.
"""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import eagleray as ray

from .._events import INTERNAL
from .._files import write_whole
from .._processes import runs
from .._state import client
from ._metrics_recorder import Tags

NAME, NAMESPACE = "metrics", f"{INTERNAL}metrics"
FILE = "metrics.json"  # in the session directory: where it listens
HOST = "127.0.0.1"
SERIES_MAX = 100_000  # of all processes; more are dropped and counted
LOOKS_MAX = 3  # at the kernel's table: rows may be missed while others come and go


class MetricsServer:
    """The actor. `port` 0: any that is free."""

    def __init__(self, port: int = 0) -> None:
        self._lock = threading.Lock()
        self._said: dict[str, tuple[str, str, str, tuple[float, ...]]] = {}
        self._values: dict[tuple[str, Tags, str], Any] = {}  # name, tags, process of a gauge
        self._pids: dict[str, int] = {}
        self._dropped = 0
        self._file = os.path.join(client().info()["session_dir"], FILE)
        self._http = _listen(self, port or _last_port(self._file))
        self._address = f"{HOST}:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        write_whole(self._file, json.dumps({"address": self._address, "pid": os.getpid()}))

    def address(self) -> str:
        """HOST:PORT"""
        return self._address

    def merge(self, process: str, pid: int, taken: list[Any]) -> None:
        """What a process has recorded since the last time."""
        with self._lock:
            self._pids[process] = pid
            for said, values in taken:
                kind, name, _, bounds = said
                known = self._said.setdefault(name, said)
                if (known[0], known[3]) != (kind, bounds):  # two programs mean different things
                    self._dropped += len(values)
                    continue
                for tags, value in values:
                    self._merge_one(kind, (name, tags, process if kind == "gauge" else ""), value)

    def _merge_one(self, kind: str, key: tuple[str, Tags, str], value: Any) -> None:
        before = self._values.get(key)
        if before is None and len(self._values) >= SERIES_MAX:
            self._dropped += 1
        elif before is None or kind == "gauge":
            self._values[key] = value
        elif kind == "counter":
            self._values[key] = before + value
        elif len(before) == len(value):
            self._values[key] = [a + b for a, b in zip(before, value, strict=True)]

    def text(self) -> str:
        """All of it in Prometheus's format."""
        from ._metrics_text import exposition, system_metrics

        with self._lock:
            gone = {name for name, pid in self._pids.items() if not runs(pid)}
            for key in [key for key in self._values if key[2] in gone]:
                del self._values[key]
            for name in gone:
                del self._pids[name]
            said, values, dropped = dict(self._said), dict(self._values), self._dropped
        return exposition(said, values) + system_metrics(dropped)


def server(port: int = 0) -> Any:
    """The actor of this cluster, started if there is none."""
    actor = ray.remote(MetricsServer).options(
        name=NAME,
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        num_cpus=0,
        max_restarts=-1,
    )
    return actor.remote(port)


def find_address(session_dir: str) -> str | None:
    """HOST:PORT of a session's metrics; None while there are none."""
    try:
        with open(os.path.join(session_dir, FILE)) as file:
            facts = json.load(file)
        address: str = facts["address"]
        return address if runs(int(facts["pid"])) else None
    except (OSError, ValueError, KeyError):
        return None


def _last_port(path: str) -> int:
    """Of the actor that this one replaces, so that scrapers find it again."""
    try:
        with open(path) as file:
            return int(json.load(file)["address"].rsplit(":", 1)[1])
    except (OSError, ValueError, KeyError):
        return 0


def _listen(source: MetricsServer, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        server_version, sys_version = "eagleray", ""

        def do_GET(self) -> None:
            refusal = self._refusal()
            if refusal:
                self._answer(403, refusal)
            elif self.path.split("?")[0] != "/metrics":
                self._answer(404, "metrics are at /metrics\n")
            else:
                self._answer(200, source.text())

        def _refusal(self) -> str:
            host = (self.headers.get("Host") or HOST).rsplit(":", 1)[0]
            if host not in (HOST, "localhost"):
                return f"this is {HOST}, not {host}\n"
            if os.environ.get("EAGLERAY_METRICS_ANY_USER") == "1":
                return ""
            own_port = self.connection.getsockname()[1]
            if _user_of(self.client_address[1], own_port) in (0, os.geteuid()):
                return ""
            return "these metrics are another user's; EAGLERAY_METRICS_ANY_USER=1 opens them\n"

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    try:
        made = ThreadingHTTPServer((HOST, port), Handler)
    except OSError:
        if not port:
            raise
        made = ThreadingHTTPServer((HOST, 0), Handler)  # somebody has taken it
    made.daemon_threads = True
    return made


def _user_of(client_port: int, server_port: int) -> int | None:
    """Whose the other end of a connection is, by /proc/net/tcp."""
    loopback = "0100007F"
    wanted = [f"{loopback}:{client_port:04X}", f"{loopback}:{server_port:04X}"]
    try:
        for _ in range(LOOKS_MAX):
            with open("/proc/net/tcp") as file:
                for line in file:
                    fields = line.split()
                    if fields[1:3] == wanted:
                        return int(fields[7])
    except (OSError, ValueError, IndexError):
        pass
    return None
