"""The connection of this process, shared by the modules of the package."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._api import RayContext
    from ._core import Client
    from ._log_monitor import LogMonitor
    from ._node import LocalNode


class State:
    def __init__(self) -> None:
        self.client: Client | None = None
        self.node: LocalNode | None = None
        self.log_monitor: LogMonitor | None = None  # driver: unless log_to_driver=False
        self.is_worker = False
        self.session = 0  # grows with each connection: what was exported belongs to one
        self.namespace = ""
        self.context: RayContext | None = None  # while connected
        self.lock = threading.RLock()
        self.runtime_env: dict[str, Any] = {}
        self.actor: Any = None  # worker: the instance it runs
        self.actor_spec: dict[str, Any] | None = None
        self.local_mode: Any = None  # a LocalClient, which is `client` then, too
        self.step_into = ""  # the debugger's session that the next call of a function takes along
        self.tracing = False  # whether spans are made (_tracing.py)
        self.on_sigterm: Any = None  # the handler that init() has installed
        self.resources: dict[str, int] = {}  # worker: what its task or actor holds
        self.group = ""  # worker: the placement group it runs in, as hex
        self.captured = ""  # the group into which its tasks and actors go by default
        self.before_shutdown: list[Callable[[], None]] = []  # called while still connected
        self.exports = (
            0  # grows with `session` and `code_version`: what was exported before is stale
        )
        self.code_version = (
            0  # grows when modules were read again: workers of before have the old ones
        )
        self.epoch = 0  # grows with `session` and `captured`: submitters made before are stale
        self.told: set[str] = set()  # of what no node can ever run
        self.looks_from = 0.0  # when polls look for that again, by time.monotonic()
        self.looks_until = 0.0

    def spec_of_actor(self) -> dict[str, Any] | None:
        """Of the actor whose code asks; None outside of one."""
        if self.local_mode is None:
            return self.actor_spec
        frame = self.local_mode.current()
        spec: dict[str, Any] | None = frame and frame.actor and frame.actor.spec()
        return spec

    def renew(self) -> None:
        """A connection begins or ends."""
        self.told, self.looks_from, self.looks_until = set(), 0.0, 0.0
        self.session += 1
        self.exports += 1
        self.epoch += 1

    def new_code(self) -> None:
        """What was exported is exported again, and runs in workers that have imported nothing yet."""
        self.code_version += 1
        self.exports += 1
        self.epoch += 1

    def enter_group(self, group: str, capture: bool) -> None:
        """What runs from here on runs in `group`; with `capture` its tasks and actors, too."""
        self.group = group
        captured = group if capture else ""
        if captured != self.captured:
            self.captured = captured
            self.epoch += 1


state = State()


def client() -> Client:
    """The client, connecting first if need be (RAY_ENABLE_AUTO_CONNECT=0 turns that off)."""
    current = state.client
    if current is not None:
        return current
    if os.environ.get("RAY_ENABLE_AUTO_CONNECT", "") == "0":
        from .exceptions import RaySystemError

        raise RaySystemError("eagleray is not initialised: call eagleray.init() first")
    from ._api import init

    init()
    assert state.client is not None
    return state.client


_forking = threading.local()


def _before_fork() -> None:
    # Until the child has put SIGTERM right it waits: a handler in Python that the fork catches is lost.
    _forking.mask = None
    if state.on_sigterm and signal.getsignal(signal.SIGTERM) is state.on_sigterm:
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _after_fork_in_parent() -> None:
    if _forking.mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _after_fork_in_child() -> None:
    # The child has none of the parent's threads; it connects anew when it uses the API.
    if state.client is not None:
        state.client.after_fork()
        state.client = None
        state.node = None
        state.log_monitor = None
        state.renew()
    if _forking.mask is not None:
        # Where a child waits for a lock, as multiprocessing.Pool's do, a handler in Python may never run.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
