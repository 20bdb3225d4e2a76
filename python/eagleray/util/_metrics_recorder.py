"""What this process has recorded and not yet sent. Recording takes a lock and changes a dictionary; a thread that
sleeps while nothing is recorded sends the changes to the cluster's metrics actor at most once a second."""

from __future__ import annotations

import bisect
import os
import threading
from typing import Any, NamedTuple

from .._state import state

PERIOD_S = 1.0
SERIES_MAX = 10_000  # of one metric in one process; more are counted as this one
OVERFLOW = (("overflow", "true"),)
Tags = tuple[tuple[str, str], ...]


class Description(NamedTuple):
    """kind: counter, gauge or histogram; boundaries: of a histogram, ascending."""

    kind: str
    name: str
    text: str
    boundaries: tuple[float, ...]


class Series:
    """The values of one metric by their tags: what was added since the last flush, or a gauge's last value."""

    def __init__(self, said: Description, owner: Recorder) -> None:
        self.said = said
        self.values: dict[Tags, Any] = {}
        self._owner = owner

    def _place(self, tags: Tags) -> Tags:
        return tags if tags in self.values or len(self.values) < SERIES_MAX else OVERFLOW

    def add(self, tags: Tags, value: float) -> None:
        with self._owner.lock:
            tags = self._place(tags)
            self.values[tags] = self.values.get(tags, 0) + value
            self._owner.wake()

    def set(self, tags: Tags, value: float) -> None:
        with self._owner.lock:
            self.values[self._place(tags)] = value
            self._owner.wake()

    def observe(self, tags: Tags, value: float) -> None:
        """Counts by bucket, the last beyond all boundaries, and the sum."""
        bounds = self.said.boundaries
        with self._owner.lock:
            tags = self._place(tags)
            counts = self.values.get(tags)
            if counts is None:
                counts = self.values[tags] = [0] * (len(bounds) + 1) + [0.0]
            counts[bisect.bisect_left(bounds, value)] += 1
            counts[-1] += value
            self._owner.wake()


class Recorder:
    """All metrics of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._series: dict[str, Series] = {}
        self._awake = False
        self._wakes = threading.Event()
        self._thread: threading.Thread | None = None
        self._server: tuple[int, Any] = (-1, None)  # of which session

    def series(self, said: Description) -> Series:
        """Of a metric, which several objects may describe. ValueError when they disagree."""
        with self.lock:
            found = self._series.get(said.name)
            if found is None:
                found = self._series[said.name] = Series(said, self)
            elif (found.said.kind, found.said.boundaries) != (said.kind, said.boundaries):
                raise ValueError(
                    f"the metric {said.name!r} is already a {found.said.kind}"
                    + (f" with boundaries {found.said.boundaries}" if said.boundaries else "")
                )
            return found

    def wake(self) -> None:
        """Something was recorded; with the lock held."""
        if self._awake:
            return
        self._awake = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="eagleray-metrics")
            self._thread.start()
        self._wakes.set()

    def _run(self) -> None:
        from threading import Event

        never = Event()
        while True:
            self._wakes.wait()
            self._wakes.clear()
            never.wait(PERIOD_S)
            self.flush()

    def flush(self) -> Any:
        """Sends what has come; gives a reference that is ready when it has arrived, or None. Without a
        connection it stays for later."""
        if state.client is None:
            with self.lock:
                self._awake = False  # the next value wakes the thread again
            return None
        with self.lock:
            self._awake = False
            taken = [
                (tuple(each.said), list(each.values.items()))
                for each in self._series.values()
                if each.values
            ]
            for each in self._series.values():
                each.values.clear()
        if not taken:
            return None
        try:
            if self._server[0] != state.session:
                from ._metrics_server import server

                self._server = (state.session, server())
            return self._server[1].merge.remote(_process(), os.getpid(), taken)
        except Exception:  # the connection ends; what was recorded ends with it
            return None


def _process() -> str:
    core = state.client
    name: str = core.info()["worker_id"] if core is not None else ""
    return name


recorder = Recorder()


def _forget() -> None:
    """In a forked child: it has no thread, and what its parent recorded is the parent's."""
    recorder.lock = threading.Lock()
    recorder._awake, recorder._thread, recorder._wakes = False, None, threading.Event()
    for each in recorder._series.values():
        each.values.clear()


os.register_at_fork(after_in_child=_forget)
