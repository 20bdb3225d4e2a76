"""The fields image_uri and container: workers in a container of podman's or docker's. The zygote runs inside and
forks the workers there; its line to the node is handed over a socket in the session's directory, for docker
passes no descriptors. Podman's own processes end with the cluster's, before they could remove the container: the
guard does that last, by a command that is kept in the session's directory.

Run as a program it is what stands between the node and the container: it has the line as descriptor 3.

    python -m eagleray._environments.container DRIVER NAME SOCKET ARGUMENT...
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import Any

from .._node import last_commands
from .tools import SetupFailed, find

_ACCEPT_S = 600.0  # an image may have to be pulled first
_REMOVE_S = 30.0


def command(env: dict[str, Any], session: str, core: str, roots: list[str]) -> list[str]:
    """What starts the zygote in a container. SetupFailed where there is no container engine."""
    driver = find("podman", "docker")
    spec = env.get("container") or {"image": env["image_uri"]}
    if not driver:
        raise SetupFailed(
            "runtime_env['image_uri'] and ['container'] need podman or docker, and neither is on the node's path"
        )
    # Of this session alone: numbers of processes come again.
    name = f"eagleray-{os.path.basename(os.path.dirname(session))}-{os.getpid()}"
    path = os.path.join(session, f"{os.getpid()}.sock")
    run = [driver, "run", "--rm", "--name", name, "--network=host", "--pid=host", "--ipc=host"]
    if os.path.basename(driver) == "podman":
        run += ["--cgroup-manager=cgroupfs"]
        if os.getuid():
            run += ["--userns=keep-id"]  # the user's number inside, too; podman refuses it to root
    else:
        run += ["--user", f"{os.getuid()}:{os.getgid()}"]
    run += ["-v", f"{os.path.dirname(session)}:{os.path.dirname(session)}"]
    for root in roots:
        run += ["-v", f"{root}:{root}:ro"]
    for key in env.get("env_vars") or {}:
        run += ["--env", key]  # the value is in the environment: everybody may read arguments
    run += ["--env", f"PYTHONPATH={core}", *(spec.get("run_options") or ())]
    run += ["--entrypoint", "python", spec["image"], "-m", "eagleray._zygote", path]
    return [sys.executable, "-m", "eagleray._environments.container", driver, name, path, *run]


def main(arguments: list[str]) -> int:
    from eagleray import _core

    _core.set_parent_death_signal(signal.SIGTERM)
    driver, name, path, *run = arguments

    def on_term(*_: object) -> None:
        subprocess.run([driver, "kill", name], capture_output=True)
        os._exit(0)

    signal.signal(signal.SIGTERM, on_term)
    last = last_commands(os.path.dirname(os.path.dirname(path)))
    os.makedirs(last, exist_ok=True)
    removal = os.path.join(last, name)
    with open(removal, "w") as file:
        file.write("".join(f"{word}\0" for word in (driver, "rm", "-f", name)))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(1)
    container = subprocess.Popen(run, close_fds=True)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    listener.settimeout(0.2)
    for _ in range(int(_ACCEPT_S / 0.2)):
        try:
            line, _address = listener.accept()
            break
        except TimeoutError:
            if container.poll() is not None:
                _remove(removal)
                return container.returncode or 1
    else:
        on_term()
    os.unlink(path)
    socket.send_fds(line, [b"line"], [3])
    os.close(3)
    status = container.wait()
    _remove(removal)
    return status


def remove_those_of(ended: str) -> None:
    """Containers of an ended session whose guard was killed, too."""
    last = last_commands(ended)
    for name in os.listdir(last) if os.path.isdir(last) else ():
        _remove(os.path.join(last, name))


def _remove(removal: str) -> None:
    """Runs the command in the file, and forgets it if it ends. Another process may be doing so, too."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        with open(removal) as file:
            words = file.read().split("\0")[:-1]
        if words:  # empty: its process was killed before it had started anything
            subprocess.run(words, capture_output=True, timeout=_REMOVE_S)
        os.unlink(removal)


def line_of(path: str) -> socket.socket:
    """In the container: the node's line."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as relay:
        relay.connect(path)
        _said, fds, _flags, _address = socket.recv_fds(relay, 16, 1)
    return socket.socket(fileno=fds[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
