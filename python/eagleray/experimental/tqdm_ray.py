"""Progress bars that tasks and actors show on the driver, with the methods of `tqdm.tqdm` that Ray's has. A worker
prints its bar's state as a line; the driver's log monitor takes it out of the output and shows the bar."""

from __future__ import annotations

import builtins
import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sized
from typing import Any

from .._state import state

__all__ = ["RAY_TQDM_MAGIC", "instance", "safe_print", "tqdm"]
RAY_TQDM_MAGIC = "__ray_tqdm_magic_token__"
TEXT_CHARS_MAX = 200

safe_print = builtins.print  # bars and lines do not disturb each other here


class tqdm:
    """A bar. iterable: what to iterate over; desc: stands before it; total: how many (the iterable's length by
    default, unknown otherwise); position: kept for Ray's programs; flush_interval_s: least time between two states
    that are shown."""

    DEFAULT_FLUSH_INTERVAL_SECONDS = 1.0

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        desc: str | None = None,
        total: int | None = None,
        unit: str | None = None,
        position: int | None = None,
        flush_interval_s: float | None = None,
    ) -> None:
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        self._iterable = iterable
        self._desc = desc or ""
        self.total = total
        self._unit = unit or "it"
        self._position = position or 0
        self._uuid = uuid.uuid4().hex
        self.n: float = 0
        self._closed = False
        self._period_s = (
            self.DEFAULT_FLUSH_INTERVAL_SECONDS if flush_interval_s is None else flush_interval_s
        )
        self._flushed = float("-inf")

    def set_description(self, desc: str) -> None:
        """What stands before the bar."""
        self._desc = desc
        self._flush()

    def update(self, n: float = 1) -> None:
        """`n` more are done."""
        self.n += n
        self._flush()

    def refresh(self) -> None:
        """Shows it, if it has not been for flush_interval_s."""
        self._flush()

    def close(self) -> None:
        """Ends the bar."""
        if not self._closed:
            self._closed = True
            self._flush(always=True)

    def __enter__(self) -> tqdm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        if self._iterable is None:
            raise ValueError("No iterable provided")
        try:
            for each in self._iterable:
                yield each
                self.update(1)
        finally:
            self.close()

    def _flush(self, always: bool = False) -> None:
        now = time.monotonic()
        if not always and now - self._flushed < self._period_s:
            return
        self._flushed = now
        said = self._get_state()
        if state.is_worker:
            print(json.dumps(said), flush=True)
        else:
            instance().process_state_update(said)

    def _get_state(self) -> dict[str, Any]:
        return {
            "__magic_token__": RAY_TQDM_MAGIC,
            "x": self.n,
            "pos": self._position,
            "desc": self._desc,
            "total": self.total,
            "unit": self._unit,
            "ip": "127.0.0.1",
            "pid": os.getpid(),
            "uuid": self._uuid,
            "closed": self._closed,
        }


class _Manager:
    """Shows the states of bars, from here and from workers."""

    def process_state_update(self, said: dict[str, Any]) -> None:
        from ..util._bars import Bar, show

        own = said["pid"] == os.getpid()
        text = str(said["desc"])[:TEXT_CHARS_MAX]
        total = said["total"]
        show(
            Bar(
                key=str(said["uuid"]),
                text=text if own else f"(pid={said['pid']}) {text}".rstrip(),
                done=float(said["x"]),
                total=None if total is None else float(total),
                unit=str(said["unit"])[:TEXT_CHARS_MAX],
                closed=bool(said["closed"]),
            )
        )


_manager: _Manager | None = None
_lock = threading.Lock()


def instance() -> _Manager:
    """The manager of this process."""
    global _manager
    with _lock:
        if _manager is None:
            _manager = _Manager()
        return _manager


def take_states(text: str) -> str:
    """The lines of a worker without the states of bars, which are shown. What only looks like one stays."""
    kept = []
    for line in text.splitlines(keepends=True):
        if RAY_TQDM_MAGIC in line and line.startswith('{"__magic_token__"'):
            try:
                instance().process_state_update(json.loads(line))
                continue
            except (ValueError, KeyError, TypeError):
                pass
        kept.append(line)
    return "".join(kept)
