"""pdb in workers: `breakpoint()` in a task or actor waits on a private socket for `eagleray debug`. On the driver it
is pdb itself. Only this user can attach: the socket lies in the session's directory, and who connects is checked."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pdb import Pdb
from types import FrameType, TracebackType
from typing import Any

from .._files import write_whole
from .._state import state
from . import _following

FILE_START = "debug-"  # debug-<id>.json says what waits at debug-<id>.sock


def set_trace(breakpoint_uuid: Any = None) -> None:
    """Stops here. In a worker it waits until `eagleray debug` attaches; `continue` there goes on, `quit` fails the
    task with BdbQuit. breakpoint_uuid: taken for Ray's programs, without effect."""
    stop_at(sys._getframe().f_back)


def stop_at(frame: FrameType | None) -> None:
    """The debugger of RAY_DEBUG (1: debugpy; otherwise pdb) at `frame`."""
    if not state.is_worker:
        debugger = Pdb()
        debugger.set_trace(frame)
        return
    if os.environ.get("RAY_DEBUG") == "1":
        from . import debugpy

        debugpy.stop(frame)
        return
    RemotePdb(facts_of(frame, "")).set_trace(frame)


def post_mortem(t: TracebackType | None = None) -> None:
    """Looks at where an exception was raised: `t`, or the one that is handled now. ValueError without any."""
    found = t or sys.exc_info()[2]
    if found is None:
        raise ValueError(
            "post_mortem() needs a traceback: none was given, and no exception is handled"
        )
    if not state.is_worker:
        debugger = Pdb()
        debugger.reset()
        debugger.interaction(None, found)
        return
    last = found
    while last.tb_next is not None:
        last = last.tb_next
    text = "".join(traceback.format_exception(*sys.exc_info())) if t is None else ""
    remote = RemotePdb(facts_of(last.tb_frame, text or "an exception", last.tb_lineno))
    remote.wait_for_client()
    remote.reset()
    try:
        remote.interaction(None, found)
    finally:
        remote.end()


def is_post_mortem_wanted() -> bool:
    """Whether a task that fails is to wait for a debugger."""
    return os.environ.get("RAY_DEBUG_POST_MORTEM", "0") == "1"


def look_at(error: BaseException) -> None:
    """Post-mortem of a task's exception, if that is wanted and it comes from the task's own code. In threads,
    too; never raises."""
    if not is_post_mortem_wanted() or isinstance(error, (KeyboardInterrupt, SystemExit)):
        return
    if type(error).__name__ == "BdbQuit" or error.__traceback__ is None:
        return
    try:
        raise error
    except BaseException:
        with contextlib.suppress(Exception):
            post_mortem()


def facts_of(frame: FrameType | None, error: str, line: int | None = None) -> dict[str, Any]:
    """Who stops, and where."""
    core = state.client
    name = core.running_name() if core is not None else ""
    if not name and state.actor_spec is not None:
        name = state.actor_spec["class_name"]
    code = frame.f_code if frame is not None else None
    return {
        "pid": os.getpid(),
        "name": name,
        "filename": code.co_filename if code else "",
        "lineno": line or (frame.f_lineno if frame is not None else 0),
        "function": code.co_name if code else "",
        "error": error,
        "time": time.time(),
    }


class RemotePdb(Pdb):
    """One stop. It ends with `continue` (unless breakpoints are set), `quit`, or the task."""

    def __init__(self, facts: dict[str, Any], session: str | None = None) -> None:
        assert state.client is not None
        self._facts = facts
        self._directory = state.client.info()["session_dir"]
        self._id = session or os.urandom(4).hex()  # goes with what it follows
        self._listener: socket.socket | None = None
        self._connection: socket.socket | None = None
        self._bottom: FrameType | None = None
        self._watch: Callable[..., Any] | None = None  # traces _bottom while it is followed

    def _path(self, ending: str) -> str:
        return os.path.join(self._directory, f"{FILE_START}{self._id}.{ending}")

    # ---- the connection ----

    def wait_for_client(self) -> None:
        """Announces itself, and waits until somebody has attached."""
        first = self._listener is None
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with short_path(self._path("sock")) as path:
                self._listener.bind(path)
            os.chmod(self._path("sock"), 0o600)
            self._listener.listen(1)
        write_whole(self._path("json"), json.dumps({**self._facts, "id": self._id}))
        _following.gave_up(self._path(_following.ENDING))  # it is here
        facts = self._facts
        why = "failed" if facts["error"] else "stopped"
        print(
            f"{why} at {facts['filename']}:{facts['lineno']} in {facts['function']}(): "
            f"`eagleray debug {self._id}` attaches",
            file=sys.stderr,
            flush=True,
        )
        try:
            while True:
                connection, _ = self._listener.accept()
                if _user_of(connection) == os.geteuid():
                    break
                connection.close()
        except BaseException:  # the task is cancelled
            self.end()
            raise
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path("json"))  # somebody is attached: nobody else can
        self._connection = connection
        stream = connection.makefile("rw", encoding="utf-8", errors="replace")
        if first:
            super().__init__(stdin=stream, stdout=stream, skip=["eagleray", "eagleray.*"])
            self.use_rawinput = False
        else:
            self.stdin = self.stdout = stream

    def end(self) -> None:
        """Lets the client go and takes the announcement back. Does nothing the second time."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                self.stdout.flush()
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
            for ending in ("json", "sock"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path(ending))

    # ---- pdb ----

    def stop_in(self, frame: FrameType) -> None:
        """At the next line of `frame`, which waits for this call."""
        self.wait_for_client()
        self._bottom = _bottom_of(frame)
        self.reset()
        each: FrameType | None = frame
        while each is not None:
            each.f_trace = self.trace_dispatch
            self.botframe, each = each, each.f_back
        self.set_next(frame)
        sys.settrace(self.trace_dispatch)

    def dispatch_call(self, frame: FrameType, arg: Any) -> Any:
        if self._bottom is None:  # runcall(): what it calls
            self._bottom = frame
        return super().dispatch_call(frame, arg)

    def set_trace(self, frame: FrameType | None = None, **_: Any) -> None:
        self.wait_for_client()
        self._bottom = _bottom_of(frame)
        try:
            super().set_trace(frame)
        except OSError:
            self.end()

    def dispatch_return(self, frame: FrameType, arg: Any) -> Any:
        result = super().dispatch_return(frame, arg)
        if self._watch is not None:
            return self._watch(frame, "return", arg) if frame is self._bottom else None
        if frame is self._bottom:  # the task's own code ends: the next task is not traced
            self.set_continue()
            sys.settrace(None)
            self.end()
            return None
        return result

    def do_continue(self, arg: str) -> Any:
        """Goes on; the client is let go unless breakpoints are set."""
        done = super().do_continue(arg)
        if not self.get_all_breaks() or self._bottom is None:
            self.end()
        return done

    do_c = do_cont = do_continue

    def do_remote(self, arg: str) -> Any:
        """remote
        Goes on to the next call of a remote function, and stops where that runs, before its first line.
        """
        _following.follow_next_call(self._id)
        return self._follow(lambda: _following.forget_next_call(self._id))

    def do_get(self, arg: str) -> Any:
        """get
        Goes on to the end of this task, and stops whoever gets its result.
        """
        _following.follow_result(self._id)
        return self._follow(lambda: False)

    def _follow(self, forget: Any) -> Any:
        """Goes on; if the task's code ends and `forget` says that there was nothing to follow, or by an exception,
        whoever is attached is told."""
        path, bottom = self._path(_following.ENDING), self._bottom
        _following.on_its_way(path)
        failed = False

        def watch(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal failed
            if event == "return":
                sys.settrace(None)
                if forget() or failed:
                    _following.gave_up(path)
            failed = event == "exception"
            return watch

        self.clear_all_breaks()
        self.set_continue()
        self.end()
        if bottom is not None:
            self._watch = bottom.f_trace = watch
            sys.settrace(lambda *_: None)
        return 1

    def dispatch_line(self, frame: FrameType) -> Any:
        result = super().dispatch_line(frame)
        if self._watch is not None:  # what is returned takes the place of the frame's f_trace
            return self._watch if frame is self._bottom else None
        return result

    def do_quit(self, arg: str) -> Any:
        """Ends the task with BdbQuit."""
        done = super().do_quit(arg)
        self.end()
        return done

    do_q = do_exit = do_quit

    def do_EOF(self, arg: str) -> Any:
        """The client has gone away: another may attach."""
        if self._connection is not None:
            self._connection.close()
        self.wait_for_client()
        self.print_stack_entry(self.stack[self.curindex])
        return None

    def sigint_handler(self, signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    def interaction(self, frame: Any, traceback: Any, *rest: Any) -> None:
        try:
            super().interaction(frame, traceback, *rest)
        except (BrokenPipeError, ConnectionError):
            self.end()


def _bottom_of(frame: FrameType | None) -> FrameType | None:
    """Where the task's own code begins."""
    while frame is not None and _is_user_code(frame.f_back):
        frame = frame.f_back
    return frame


def _is_user_code(frame: FrameType | None) -> bool:
    return frame is not None and not frame.f_globals.get("__name__", "").startswith("eagleray")


@contextlib.contextmanager
def short_path(path: str) -> Iterator[str]:
    """Another name of a socket: sockets take 107 bytes, and session directories may lie deep."""
    fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{os.path.basename(path)}"
    finally:
        os.close(fd)


def _user_of(connection: socket.socket) -> int:
    size = struct.calcsize("3i")
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, user, _ = struct.unpack("3i", found)
    return int(user)


def breakpoint_hook(frame: FrameType, *args: Any, **kwargs: Any) -> Any:
    """What breakpoint() calls in workers; PYTHONBREAKPOINT goes before it."""
    if os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*args, **kwargs)
    stop_at(frame)
    return None
