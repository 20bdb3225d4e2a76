"""Starts the programs of a local cluster as children of this process, and ends them. Sockets and logs
live in a private session directory; nothing listens on the network."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from . import _core, _old_sessions
from ._processes import runs

START_TIMEOUT_S = 30.0
END_PATIENCE_S = 10.0  # with the node's end, before it is killed; with the guard's likewise
ADDRESS_CHARS_MAX = 4096
TEMP_ROOT = "/tmp/eagleray"


def temp_root(temp_dir: str | None) -> str:
    """Where sessions are. Who is not the first user of eagleray on the machine has a directory with his number, and
    keeps it when the first one's has gone."""
    given = temp_dir or os.environ.get("EAGLERAY_TMPDIR")
    if given:
        return given
    own = f"{TEMP_ROOT}-{os.geteuid()}"
    if os.path.lexists(own):
        return own
    try:
        return TEMP_ROOT if os.lstat(TEMP_ROOT).st_uid == os.geteuid() else own
    except FileNotFoundError:
        return TEMP_ROOT


def make_root(temp_dir: str | None) -> str:
    """Where sessions are, made if it is not there. PermissionError: others could change what is in it."""
    root = temp_root(temp_dir)
    os.makedirs(root, mode=0o700, exist_ok=True)
    # The link itself, too: who owns it could turn it elsewhere later.
    for info in (os.lstat(root), os.stat(root)):
        if info.st_uid != os.geteuid():
            raise PermissionError(
                f"{root} belongs to another user: pass _temp_dir, a directory of yours"
            )
    if info.st_mode & 0o022 and not info.st_mode & stat.S_ISVTX:
        raise PermissionError(
            f"others may write in {root}: chmod go-w it, or pass another _temp_dir"
        )
    return root


def make_session_dir(temp_dir: str | None) -> str:
    root = make_root(temp_dir)
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    base = os.path.join(root, f"session_{stamp}_{os.getpid()}")
    path, n = base, 0
    while True:
        try:
            os.mkdir(path, 0o700)
            break
        except FileExistsError:
            n += 1
            path = f"{base}_{n}"
    for folder in ("logs", "history"):
        os.mkdir(os.path.join(path, folder), 0o700)
    link = os.path.join(root, f".latest_{os.getpid()}")
    try:
        os.symlink(path, link)
        os.replace(link, os.path.join(root, "session_latest"))
    except OSError:
        pass
    return path


def node_ip() -> str:
    return "127.0.0.1"


def last_commands(session_dir: str) -> str:
    """The directory of commands that the guard runs when all processes of the session have ended."""
    return os.path.join(session_dir, "last")


def program(name: str) -> str:
    path = os.path.join(os.path.dirname(__file__), "bin", name)
    if not os.access(path, os.X_OK):
        raise RuntimeError(
            f"{path} is missing: build it with ./dev build, or reinstall the package"
        )
    return path


def default_memory() -> tuple[int, int]:
    """(memory for tasks, memory for the object store) in bytes: 70 % and 30 % of what is available."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    available = int(line.split()[1]) * 1024
    except OSError:
        pass
    store = int(available * 0.3)
    return available - store, store


class LocalNode:
    """The node program of one local cluster, and the guard that starts it and is this process's child."""

    def __init__(
        self,
        *,
        resources: dict[str, int],
        labels: dict[str, str],
        settings: str,
        temp_dir: str | None,
        owned: bool,
        address: str | None = None,
        door: socket.socket | None = None,  # of the job end point
    ) -> None:
        self.address = address or node_ip()
        self.jobs_url: str | None = None
        self.session_dir = make_session_dir(temp_dir)
        self._settings = settings
        self.socket_path = os.path.join(self.session_dir, "node.sock")
        ready_read, ready_write = os.pipe()
        arguments = [
            program("eagleray-guard"),
            f"--last={last_commands(self.session_dir)}",
            *(_behind_the_door(door, self.session_dir) if door else []),
            program("eagleray-node"),
            f"--control={program('eagleray-control')}",
            f"--session-dir={self.session_dir}",
            f"--socket={self.socket_path}",
            f"--log-dir={os.path.join(self.session_dir, 'logs')}",
            f"--python={sys.executable}",
            f"--python-path={_python_path()}",
            "--resources=" + ",".join(f"{k}={v}" for k, v in resources.items()),
            "--labels=" + "\x1f".join(f"{k}={v}" for k, v in labels.items()),
            f"--settings={settings}",
            f"--node-ip={self.address}",
            f"--host-name={socket.gethostname()}",
            f"--driver-pid={os.getpid() if owned else 0}",
            f"--ready-fd={ready_write}",
        ]
        log = os.path.join(self.session_dir, "logs", "node.err")
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(ready_write, door.fileno()) if door else (ready_write,),
                start_new_session=True,
            )
        os.close(ready_write)
        try:
            ready, _, _ = select.select([ready_read], [], [], START_TIMEOUT_S)
            said = os.read(ready_read, 32) if ready else b""
        finally:
            os.close(ready_read)
        self.pid = int(said or 0)  # of the node
        if not said:
            self.stop()
            with open(log, "rb") as file:
                tail = file.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"the node did not start; its log {log} says:\n{tail}")

    def write_address(self, port: int | None = None, jobs: str | None = None) -> None:
        """Lets other programs of this user find it; `port`: as they will write its address; `jobs`: the URL of its
        job end point."""
        self.jobs_url = jobs
        os.makedirs(os.path.join(self.session_dir, "jobs"), mode=0o700, exist_ok=True)
        path = os.path.join(self.session_dir, "address.json")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            facts = {"socket": self.socket_path, "pid": self.process.pid}
            json.dump({**facts, "address": self.address, "port": port, "jobs": jobs}, file)

    def remove_address(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.session_dir, "address.json"))

    def remove_old_sessions(self, wait: bool = True) -> None:
        """As its settings say. wait: or while the program goes on."""
        clean = _old_sessions.clean if wait else _old_sessions.clean_later
        clean(self.session_dir, _core.settings_of_text(self._settings))

    def stop(self) -> None:
        """Ends it and everything it started; returns when all is gone."""
        self._end()
        _old_sessions.remove_part(self.session_dir, _old_sessions.SCRATCH)

    def _end(self) -> None:
        end: tuple[Callable[[], None], ...] = (
            self.process.terminate,
            lambda: os.kill(self.pid or self.process.pid, signal.SIGKILL),
            self.process.kill,
        )
        for attempt in end:
            if self.process.poll() is not None:
                return
            try:
                attempt()
            except ProcessLookupError:
                pass
            try:
                self.process.wait(END_PATIENCE_S)
            except subprocess.TimeoutExpired:
                continue


def _behind_the_door(door: socket.socket, session_dir: str) -> list[str]:
    """What the guard starts when somebody connects to the job end point."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    code = (
        f"import sys; sys.path[0] = {root!r}; "
        "from eagleray.job_submission._server import main; main()"
    )
    command = [sys.executable, "-c", code, f"--session-dir={session_dir}"]
    return [f"--door={door.fileno()}", str(len(command)), *command]


def _python_path() -> str:
    package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    paths = [package_root]
    if os.environ.get("PYTHONPATH"):
        paths.append(os.environ["PYTHONPATH"])
    return os.pathsep.join(paths)


def find_running(temp_dir: str | None) -> dict[str, Any] | None:
    """The newest cluster of this user that `eagleray start --head` started and that still runs."""
    root = temp_root(temp_dir)
    try:
        names = sorted((n for n in os.listdir(root) if n.startswith("session_2")), reverse=True)
    except OSError:
        return None
    for name in names:
        info = _read_address(os.path.join(root, name, "address.json"))
        if info and os.path.exists(info["socket"]) and _is_node(info["pid"]):
            info["session_dir"] = os.path.join(root, name)
            return info
    return None


def at_socket(address: str) -> dict[str, Any]:
    """This user's cluster whose node listens there, one of init() too: what `address_info["address"]` of its context
    says."""
    try:
        found = os.lstat(address)
    except OSError as error:
        raise ConnectionError(f"init(address={address!r}): that cluster has ended") from error
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise ConnectionError(f"init(address={address!r}): no cluster of this user is there")
    return {"socket": address, "session_dir": os.path.dirname(address)}


def is_here(address: str, found: dict[str, Any] | None) -> bool:
    """Whether HOST:PORT is on this machine; `found`: the cluster that is."""
    host = address.rsplit(":", 1)[0]
    return host in ("127.0.0.1", "localhost", node_ip(), (found or {}).get("address"))


def _read_address(path: str) -> dict[str, Any] | None:
    """What LocalNode.write_address() wrote; None for anything else, or of anybody else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor) as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                return None
            info = json.loads(file.read(ADDRESS_CHARS_MAX))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(info, dict) or type(info.get("pid")) is not int:
        return None
    address = info.get("socket")
    if not isinstance(address, str) or "\0" in address:
        return None
    return info


def _is_node(pid: int) -> bool:
    """It runs, and is not another process that has got the number since: it is the node's guard."""
    try:
        with open(f"/proc/{pid}/comm") as comm:
            return comm.read().startswith("eagleray-") and runs(pid)
    except OSError:
        return False
