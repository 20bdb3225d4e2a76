"""Sets one runtime environment up. Started by eagleray-node for each (src/shell/environments.h says how the two
speak), in a process group of its own that the node ends when it takes too long or nobody waits any more.

What it makes lies in the user's cache or in the session's directory; what is used is locked, and the locks are
handed to the node with the answer.
"""

from __future__ import annotations

import array
import errno
import json
import os
import shlex
import signal
import socket
import struct
import sys
import traceback
from typing import Any

from . import conda, container, plugins, python_packages, text
from .cache import Cache, Held, default_directory
from .context import Plan, joined, put_into
from .sources import Sources
from .tools import SetupFailed

_HEADER = struct.Struct("<II")  # of a frame: bytes, descriptors
_RESOURCES = "runtime_resources"  # in the session's directory
_REMOVED = ("trees", "downloads")  # of the session's, when there are too many and nobody uses them
_MODULE = "eagleray._zygote"


class Line:
    """The socket to the node."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(True)

    def read(self) -> bytes:
        length, _fds = _HEADER.unpack(self._exactly(_HEADER.size))
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(count - len(parts))
            if not part:
                raise EOFError("the node has ended")
            parts += part
        return bytes(parts)

    def say(self, kind: bytes, content: bytes, fds: list[int] | None = None) -> None:
        body = kind + content
        frame = _HEADER.pack(len(body), len(fds or ())) + body
        sent = 0
        if fds:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
            sent = self._socket.sendmsg([frame], [rights])
        self._socket.sendall(frame[sent:])


class Builder:
    def __init__(self, session_dir: str, log: str, settings: dict[str, float], python_path: str):
        self._log = log
        self._python_path = python_path
        self._limit = int(settings["environment_cache_bytes_max"])
        self._cache = Cache(default_directory())
        self._session = Cache(os.path.join(session_dir, _RESOURCES))
        self.held: list[Held] = []
        self._sources = Sources(self._cache, self._session, self.held)

    def build(self, env: dict[str, Any]) -> Plan:
        """SetupFailed, or whatever went wrong."""
        plan = Plan()
        if env.get("working_dir"):
            plan.cwd = self._sources.directory(env["working_dir"])
            plan.sys_path.append(plan.cwd)
        for uri in env.get("py_modules") or ():
            plan.sys_path.append(self._sources.directory(uri))
        for field in ("pip", "uv"):
            if env.get(field):
                self._add_packages(field, env[field], plan)
        if env.get("conda"):
            self._add_conda(env["conda"], plan)
        if env.get("py_executable"):
            plan.python, plan.foreign = shlex.split(env["py_executable"]), True
        if env.get("image_uri") or env.get("container"):
            roots = [self._core(), *self._package_folders()]
            plan.python, plan.foreign = (
                container.command(env, self._session.directory, roots[0], roots),
                True,
            )
        plugins.set_up(env, plan.context, self._session, self.held)
        self._cache.evict(self._limit)
        self._session.evict(self._limit, _REMOVED)
        return plan

    def _add_packages(self, field: str, spec: dict[str, Any], plan: Plan) -> None:
        held = python_packages.make(field, spec, plan.cwd, self._cache)
        self.held.append(held)
        plan.python = [python_packages.python_of(held.path)]
        plan.variables["VIRTUAL_ENV"] = held.path
        path = os.environ.get("PATH", os.defpath)
        plan.variables["PATH"] = os.path.join(held.path, "bin") + os.pathsep + path

    def _add_conda(self, spec: Any, plan: Plan) -> None:
        directory, held = conda.make(spec, self._cache)
        if held:
            self.held.append(held)
        plan.python, plan.foreign = [conda.python_of(directory)], True
        plan.variables.update(conda.variables(directory))

    # ---- how its Python is started ----

    def zygote(self, env: dict[str, Any], plan: Plan) -> tuple[list[str], dict[str, str]] | None:
        """Arguments and variables; None: the node's own zygote will do."""
        context = plan.context
        own = bool(context.command_prefix) or context.py_executable != sys.executable
        variables = {**(env.get("env_vars") or {}), **context.env_vars}
        early = any(name.startswith(text.EARLY) for name in variables)
        if not own and plan.python is None and not early:
            return None
        plan.begins_with_variables = True
        return self._arguments(plan, own), self._variables(plan, variables)

    def _arguments(self, plan: Plan, by_plugin: bool) -> list[str]:
        context = plan.context
        python = plan.python or [sys.executable]
        if by_plugin:
            executable = context.py_executable
            if executable == sys.executable:
                executable = shlex.join(python)
            words = [*context.command_prefix, "exec", executable, "-m", _MODULE]
            python, module = ["/bin/bash", "-c", " ".join(words)], []
        else:
            module = [] if "eagleray._environments.container" in python else ["-m", _MODULE]
        script = 'log=$1; cd "$2" || exit 1; shift 2; exec "$@" >>"$log" 2>&1'
        cwd = plan.cwd or os.getcwd()
        return ["/bin/sh", "-c", script, "sh", self._log, cwd, *python, *module]

    def _variables(self, plan: Plan, variables: dict[str, str]) -> dict[str, str]:
        user = [p for p in self._python_path.split(os.pathsep) if p not in self._package_roots()]
        base = self._core() if plan.foreign else None
        if plan.python is None:
            base = self._python_path
            user = []
        environment = {**os.environ, "PYTHONPATH": joined([p for p in user if p], base)}
        before = dict(environment)
        environment.update(plan.variables)  # first: a user's "${PATH}" has its commands
        put_into(environment, variables)
        changed = {k: v for k, v in environment.items() if os.environ.get(k) != v}
        if environment["PYTHONPATH"] != before["PYTHONPATH"]:
            changed["PYTHONPATH"] = joined([environment["PYTHONPATH"]], before["PYTHONPATH"])
        return {"PYTHONPATH": environment["PYTHONPATH"], **changed}

    @staticmethod
    def _package_roots() -> list[str]:
        import cloudpickle

        import eagleray

        return [os.path.dirname(os.path.dirname(m.__file__ or "")) for m in (eagleray, cloudpickle)]

    def _package_folders(self) -> list[str]:
        import cloudpickle

        import eagleray

        return [os.path.dirname(m.__file__ or "") for m in (eagleray, cloudpickle)]

    def _core(self) -> str:
        """A directory with eagleray and what it needs and nothing else: for Pythons that have packages of
        their own, which those beside eagleray must not hide."""

        def fill(directory: str) -> None:
            os.makedirs(directory)
            for folder in self._package_folders():
                os.symlink(folder, os.path.join(directory, os.path.basename(folder)))

        held = self._session.make("core", "1", fill)
        held.release()
        return held.path


def _remove_what_ended_sessions_left(session_dir: str) -> None:
    from .. import _old_sessions

    for path in _old_sessions.ended_beside(session_dir):
        container.remove_those_of(path)
        _old_sessions.remove_part(path, _RESOURCES)


def _explain(error: BaseException) -> str:
    if isinstance(error, SetupFailed):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: {error} (the cache is in {default_directory()})"
    return "".join(traceback.format_exception_only(type(error), error)).strip()


def _answer(line: Line, builder: Builder, env: dict[str, Any]) -> None:
    plan = builder.build(env)
    zygote = builder.zygote(env, plan)
    if zygote is not None:
        arguments, variables = zygote
        line.say(b"A", b"".join(os.fsencode(each) + b"\0" for each in arguments))
        line.say(b"V", b"".join(os.fsencode(f"{k}={v}\0") for k, v in variables.items()))
    line.say(b"R", json.dumps(plan.setup()).encode(), [held.lock for held in builder.held])


def main() -> int:
    from eagleray import _core

    _core.set_parent_death_signal(signal.SIGKILL)
    os.setsid()
    line = Line(3)
    session_dir, log, settings, python_path, _ = line.read().decode().split("\0")
    env = text.from_text(line.read().decode("utf-8", "surrogateescape"))
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for fd in (1, 2):
        os.dup2(output, fd)
    try:
        builder = Builder(session_dir, log, _core.settings_of_text(settings), python_path)
        _answer(line, builder, env)
    except Exception as error:
        if not isinstance(error, SetupFailed):
            print(text.masked(traceback.format_exc()), flush=True)
        line.say(b"F", text.masked(_explain(error)).encode("utf-8", "replace"))
        return 1
    _remove_what_ended_sessions_left(session_dir)
    return 0


if __name__ == "__main__":
    sys.exit(main())
