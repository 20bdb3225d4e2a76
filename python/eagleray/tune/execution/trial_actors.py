"""The actors of trials: starts them, asks them, and gives back what they say as events. Decides nothing.

A start costs one message to a new or waiting process, and the first step is asked for in the same breath: a trial of
one result takes three calls (start, train, train: done) and no wait between the first two.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import eagleray as ray
from eagleray.util import remove_placement_group

from ..experiment.trial import Trial
from .trial_process import CANNOT_RESET, TrialProcess

# Then the process is killed: one that cleans up, and one that is still in a step and has not begun to.
CLEANUP_SECONDS_MAX = float(os.environ.get("TUNE_FORCE_TRIAL_CLEANUP_S", "600"))
STEP_SECONDS_MAX = 10.0


_logger = logging.getLogger("eagleray.tune")


@dataclass
class Event:
    """Something that a trial's process has said. kind: started, result, saved, exported, failed."""

    kind: str
    trial: Trial
    value: Any = None
    error: BaseException | None = None


@dataclass
class _Process:
    """One actor, its group, and what it can run."""

    handle: Any
    group: Any
    factory: Any
    started: bool = False  # it has answered once


@dataclass
class _Asked:
    kind: str
    trial: Trial
    process: _Process


class TrialActors:
    """Owned by the controller, used by its thread. One process per running trial; with reuse, processes that wait for
    the next trial with the same resources."""

    def __init__(
        self,
        trainable: Any,
        *,
        checkpoint_every: int = 0,
        reuse: bool = False,
        chdir: bool = True,
        log_files: Any = None,
    ) -> None:
        self._trainable = ray.put(trainable)
        self._class = ray.remote(TrialProcess)
        self._arguments = (checkpoint_every, chdir, log_files)
        self._reuse = reuse
        self._running: dict[str, _Process] = {}  # by trial id
        self._waiting: dict[Any, deque[_Process]] = {}  # by resources
        self._asked: dict[Any, _Asked] = {}  # by reference
        self._ending: list[tuple[float, Any, _Process]] = []  # deadline, reference of stop()
        self._failed: list[Event] = []  # found while asking

    def start(self, trial: Trial) -> None:
        """Starts a trial from `trial.restore_from`; asks for the first result."""
        waiting = self._waiting.get(trial.placement_group_factory)
        process = waiting.popleft() if waiting else self._new_process(trial)
        self._start_in(process, trial)

    def _new_process(self, trial: Trial) -> _Process:
        factory = trial.placement_group_factory
        self.release_waiting()  # what waits has other resources, and holds them
        group = factory() if factory.needs_group else None
        handle = self._class.options(max_restarts=0, **factory.options(group)).remote(
            self._trainable, factory, *self._arguments
        )
        return _Process(handle, group, factory)

    def _start_in(self, process: _Process, trial: Trial) -> None:
        self._running[trial.trial_id] = process
        checkpoint = trial.restore_from.path if trial.restore_from else None
        try:
            ref = process.handle.start.remote(trial.config, trial.names, checkpoint)
        except Exception as error:  # a config that cannot be pickled
            self._failed.append(Event("failed", trial, error=error))
            return
        self._asked[ref] = _Asked("started", trial, process)
        self.train(trial)

    def train(self, trial: Trial) -> None:
        """Asks for the next result."""
        process = self._running[trial.trial_id]
        self._asked[process.handle.train.remote()] = _Asked("result", trial, process)

    def save(self, trial: Trial) -> None:
        """Asks for a checkpoint."""
        process = self._running[trial.trial_id]
        self._asked[process.handle.save.remote()] = _Asked("saved", trial, process)

    def export(self, trial: Trial, formats: list[str]) -> None:
        """Asks for its model in these formats."""
        process = self._running[trial.trial_id]
        self._asked[process.handle.export.remote(formats)] = _Asked("exported", trial, process)

    def is_running(self, trial: Trial) -> bool:
        return trial.trial_id in self._running

    def stop(self, trial: Trial, failed: bool = False) -> None:
        """Ends the process of a trial, or keeps it for the next. What it still says is not listened to."""
        process = self._running.pop(trial.trial_id, None)
        if process is None:
            return
        busy = any(asked.process is process for asked in self._asked.values())
        self._forget(process)
        if failed or not process.started:
            self._kill(process)
        elif self._reuse and not busy:
            self._waiting.setdefault(process.factory, deque()).append(process)
        else:
            self._end(process, busy)

    def _forget(self, process: _Process) -> None:
        """What it still says is not listened to."""
        self._asked = {r: asked for r, asked in self._asked.items() if asked.process is not process}

    def release_waiting(self) -> None:
        """Ends the processes that wait for a next trial."""
        for waiting in self._waiting.values():
            while waiting:
                self._end(waiting.popleft())

    def _end(self, process: _Process, busy: bool = False) -> None:
        ref = process.handle.stop.remote()
        process.handle.__ray_terminate__.remote()
        seconds = STEP_SECONDS_MAX if busy else CLEANUP_SECONDS_MAX
        self._ending.append((time.monotonic() + seconds, ref, process))

    def _kill(self, process: _Process) -> None:
        ray.kill(process.handle)
        if process.group is not None:
            remove_placement_group(process.group)

    def reap(self, until_all: bool = False) -> None:
        """Looks after those that were told to end; kills those that do not. until_all: waits for them."""
        while self._ending:
            refs = [ref for _, ref, _ in self._ending]
            seconds = max(0.0, self._ending[0][0] - time.monotonic()) if until_all else 0.0
            ended = set(ray.wait(refs, num_returns=len(refs), timeout=seconds)[0])
            left = []
            for deadline, ref, process in self._ending:
                if ref in ended:
                    if process.group is not None:
                        remove_placement_group(process.group)
                elif time.monotonic() >= deadline:
                    _logger.warning("a trial's process has not ended in time and is killed")
                    self._kill(process)
                else:
                    left.append((deadline, ref, process))
            self._ending = left
            if not until_all:
                return

    def kill_all(self) -> None:
        """Ends every process, at once."""
        waiting = [process for group in self._waiting.values() for process in group]
        ending = [process for _, _, process in self._ending]
        for process in (*self._running.values(), *waiting, *ending):
            self._kill(process)
        self._running.clear()
        self._waiting.clear()
        self._ending.clear()
        self._asked.clear()

    def wait(self, seconds: float) -> list[Event]:
        """What has been said, after at most so many seconds of waiting for the first."""
        if self._failed:
            events, self._failed = self._failed, []
            return events
        if not self._asked:
            return []
        refs = list(self._asked)
        ready, _ = ray.wait(refs, num_returns=1, timeout=seconds)
        if ready and len(refs) > 1:
            ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
        events = []
        for ref in ready:
            asked = self._asked.pop(ref, None)
            if asked is not None:  # its process was not given up by an event before this
                events.extend(self._answer(ref, asked))
        return events

    def _answer(self, ref: Any, asked: _Asked) -> list[Event]:
        try:
            value = ray.get(ref)
        except Exception as error:  # also what cannot be unpickled here
            self._forget(asked.process)
            return [Event("failed", asked.trial, error=error)]
        asked.process.started = True
        if asked.kind == "started" and value == CANNOT_RESET:
            self._forget(asked.process)
            self._reuse = False
            self._end(asked.process)
            self._start_in(self._new_process(asked.trial), asked.trial)
            return []
        return [Event(asked.kind, asked.trial, value)]
