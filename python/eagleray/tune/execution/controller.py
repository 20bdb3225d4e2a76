"""The controller of an experiment: which trials there are, which run, what becomes of each result.

It decides; `actors` (TrialActors, or a fake in tests) starts, asks and stops processes, the journal keeps what has
been decided, callbacks are told. A turn of the loop: make and start trials, wait for events, handle each, commit.
A result costs: one call to its process, one row of the journal, one line in each logger's file; nothing in it grows
with the number of trials, except in schedulers that look at all of them.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections import deque
from collections.abc import Iterable
from typing import Any

from ..callback import CallbackList
from ..checkpoint import Checkpoint
from ..experiment.checkpoints import remove_files
from ..experiment.trial import Trial, is_number
from ..result import AUTO_FIELDS, DONE
from ..schedulers.trial_scheduler import TrialScheduler
from ..utils.flatten import flatten, has
from .experiment_state import ExperimentState
from .lending import LentCheckpoints
from .resources import Resources
from .trial_actors import Event
from .trial_process import RestoreFailedError
from .trial_source import TrialSource

_logger = logging.getLogger("eagleray.tune")
PROCESS_SECONDS_MAX = 30.0  # without a trial's process; then it says so


class TuneController:
    """One experiment, from its first trial to its last. Used by one thread.

    max_failures: how often a trial is tried again, -1: always. fail_fast: the first failure ends all; "raise":
    and is raised.
    """

    def __init__(
        self,
        *,
        source: TrialSource,
        scheduler: TrialScheduler,
        stopper: Any,
        actors: Any,
        state: ExperimentState,
        callbacks: CallbackList,
        resources: Resources,
        max_failures: int = 0,
        fail_fast: Any = False,
        checkpoint_at_end: bool = False,
        max_concurrent: int = 0,
        metric: str | None = None,
        export_formats: list[str] | None = None,
    ) -> None:
        self._export_formats = export_formats
        self._source, self._scheduler, self._stopper = source, scheduler, stopper
        self._actors, self._state, self._callbacks, self.resources = (
            actors,
            state,
            callbacks,
            resources,
        )
        self._max_failures, self._fail_fast = max_failures, fail_fast
        self._checkpoint_at_end, self._max_concurrent = checkpoint_at_end, max_concurrent
        self._metric = metric
        self._trials: list[Trial] = []
        self._by_id: dict[str, Trial] = {}
        self._pending: dict[str, Trial] = {}  # in order of their creation
        self._paused: dict[str, Trial] = {}
        self._live: dict[str, Trial] = {}  # has a process, or has asked for one
        self._saving: dict[str, str] = {}  # after the checkpoint: "stop", "pause" or "go on"
        self._lent = LentCheckpoints()
        self._restored: set[str] = set()  # of an earlier life, not started in this one
        self._events: deque[Event] = deque()  # that processes have said, not handled yet
        self._starting: set[str] = set()  # those whose processes have not answered
        self._asked_at: dict[str, float] = {}  # when processes were asked for that have not come
        self._stopping = self._interrupted = False
        self.turn = 0
        self.failed_with: BaseException | None = None

    # What schedulers, reporters and callbacks ask.

    def get_trials(self) -> list[Trial]:
        """All trials that have been made, in order."""
        return self._trials

    def get_live_trials(self) -> list[Trial]:
        """Those that have not ended."""
        return [*self._live.values(), *self._pending.values(), *self._paused.values()]

    def get_trial(self, trial_id: str) -> Trial | None:
        return self._by_id.get(trial_id)

    def is_waiting(self, trial: Trial) -> bool:
        """Whether it may be started: a scheduler may ask this of single trials, where there are many."""
        return trial.trial_id in self._pending or trial.trial_id in self._paused

    def runs_anything(self) -> bool:
        return bool(self._live)

    def pending_trials(self) -> Iterable[Trial]:
        return self._pending.values()

    def paused_trials(self) -> Iterable[Trial]:
        return self._paused.values()

    def has_resources_for_trial(self, trial: Trial) -> bool:
        """Whether it could run now, beside those that do."""
        return self.resources.fits(trial.placement_group_factory)

    @property
    def search_alg(self) -> Any:
        """The searcher."""
        return self._source.searcher

    @property
    def total_samples(self) -> int | None:
        return self._source.total

    def adopt(
        self, trials: Iterable[Trial], changed: Iterable[Trial], given_up: list[Checkpoint]
    ) -> None:
        """Takes the trials of an earlier life of the experiment. changed: those that are not as they were kept;
        given_up: checkpoints that their own trials do not need any more."""
        for trial in trials:
            self._trials.append(trial)
            self._by_id[trial.trial_id] = trial
            if not trial.is_finished():
                self._pending[trial.trial_id] = trial
                self._restored.add(trial.trial_id)
                trial.status = Trial.PENDING
                for one in (trial.restore_from, trial.checkpoint):
                    if one is not None:
                        self._lent.lend(one, trial.trial_id)
                self._scheduler.on_trial_add(self, trial)
        for trial in self._trials:
            if trial.is_finished():
                self._scheduler.on_trial_gone(self, trial)
        for trial in changed:
            self._state.changed(trial)
        going = self._lent.removable(given_up)
        self._state.after_commit(lambda: remove_files(going))

    # The loop.

    def is_finished(self) -> bool:
        """Whether nothing runs and nothing is to come."""
        if self._live:
            return False
        if self._stopping:
            return True
        return not self._pending and not self._paused and self._source.finished

    def step(self, seconds: float) -> None:
        """One turn: waits at most so many seconds for something to happen."""
        self.turn += 1
        self._callbacks.call("on_step_begin", iteration=self.turn, trials=self._trials)
        if not self._stopping:
            self._make_and_start()
        waited = False
        self._events.extend(self._actors.wait(seconds if self._live else 0.0))
        while self._events:  # what an exception of a callback leaves is not lost
            waited = True
            event = self._events.popleft()
            if event.trial.trial_id in self._live:
                self._handle(event)
        if not waited and not self._live and not self._stopping:
            self._nothing_runs(seconds)
        if not self._stopping and self._stopper.stop_all():
            self.stop_all("the stopper has ended the experiment")
        self._actors.reap()
        self._say_who_waits()
        self._state.keep(self._source, self._scheduler, self._callbacks)
        self._callbacks.call("on_step_end", iteration=self.turn, trials=self._trials)

    def _nothing_runs(self, seconds: float) -> None:
        """Something is to come and cannot start: it may lack resources, or its searcher has nothing to suggest yet."""
        for trial in self._pending.values():
            self.resources.explain(trial)
        time.sleep(min(seconds, 0.1))

    def _say_who_waits(self) -> None:
        """Once for each trial whose process has been asked for and has not come."""
        until = time.monotonic() - PROCESS_SECONDS_MAX
        for trial_id, asked in list(self._asked_at.items()):
            trial = self._live.get(trial_id)
            if trial is None or trial.status == Trial.RUNNING:
                del self._asked_at[trial_id]
            elif asked < until:
                del self._asked_at[trial_id]
                _logger.warning(
                    "%s has waited %.0f s for its process: others hold what it asks for (%s), or its placement group "
                    "does not fit on a node. `eagleray status` shows who has what",
                    trial,
                    PROCESS_SECONDS_MAX,
                    trial.placement_group_factory.required_resources,
                )

    def _make_and_start(self) -> None:
        while True:
            while (
                len(self._pending) < self._source.ahead
                and not self._source.finished
                and (trial := self._source.next()) is not None
            ):
                self._add(trial)
            if self._max_concurrent and len(self._live) >= self._max_concurrent:
                return
            if len(self._starting) >= self.resources.starts_max:
                return
            chosen = self._scheduler.choose_trial_to_run(self)
            # A trial keeps its state until its process is there: a scheduler may name it again until then.
            if chosen is None or chosen.trial_id in self._live:
                return
            if not self.has_resources_for_trial(chosen):
                return
            self._start(chosen)

    def _add(self, trial: Trial) -> None:
        self._trials.append(trial)
        self._by_id[trial.trial_id] = trial
        self._pending[trial.trial_id] = trial
        self._state.changed(trial)
        self._scheduler.on_trial_add(self, trial)

    def _start(self, trial: Trial) -> None:
        self._pending.pop(trial.trial_id, None)
        self._paused.pop(trial.trial_id, None)
        self._live[trial.trial_id] = trial
        self._starting.add(trial.trial_id)
        self.resources.take(trial)
        if trial.restore_from is None:
            trial.restore_from = trial.checkpoint
        elif trial.checkpoints.find(trial.restore_from) is None:
            trial.checkpoints.borrow(trial.restore_from, trial.reported)
        self._rewind(trial)
        self._state.wait_for(trial)  # a directory without a row would be nobody's after a crash
        self._asked_at[trial.trial_id] = time.monotonic()
        self._actors.start(trial)

    def _rewind(self, trial: Trial) -> None:
        """What it reported after the checkpoint that it goes on from will be reported again."""
        own = trial.checkpoints.find(trial.restore_from) if trial.restore_from else None
        reported = own.reported if own else 0
        # Files are written before the journal: after a crash they may hold a result more than that.
        restored = trial.trial_id in self._restored
        self._restored.discard(trial.trial_id)
        if trial.reported > reported or restored:
            results = self._state.rewind(trial, reported)
            self._callbacks.call(
                "on_trial_rewind",
                iteration=self.turn,
                trials=self._trials,
                trial=trial,
                results=results,
            )

    # Events.

    def _handle(self, event: Event) -> None:
        trial = event.trial
        if event.kind == "started":
            self._started(trial, event.value)
        elif event.kind == "result":
            result, path = event.value
            self._result(trial, result, Checkpoint(path) if path else None)
        elif event.kind == "saved":
            self._saved(trial, Checkpoint(event.value) if event.value else None)
        elif event.kind == "exported":
            self._end(trial)
        else:
            assert event.error is not None
            self._failed(trial, event.error)

    def _started(self, trial: Trial, where: dict[str, Any]) -> None:
        trial.status = Trial.RUNNING
        self._starting.discard(trial.trial_id)
        trial.where = f"{where['node_ip']}:{where['pid']}"
        trial.start_time = trial.start_time or time.time()
        trial.end_time = None
        self._state.changed(trial)
        if trial.restore_from is not None:
            self._callbacks.call(
                "on_trial_restore", iteration=self.turn, trials=self._trials, trial=trial
            )
        trial.restore_from = None
        self._callbacks.call(
            "on_trial_start", iteration=self.turn, trials=self._trials, trial=trial
        )

    def _result(self, trial: Trial, result: dict[str, Any], checkpoint: Checkpoint | None) -> None:
        duplicate = result.pop("__duplicate__", False)
        result["config"] = trial.config
        result["experiment_tag"] = trial.experiment_tag
        if duplicate:
            result = {**trial.last_result, DONE: True}
        else:
            self._check_metric(trial, result)
        decision = self._decide(trial, result)
        if decision == TrialScheduler.STOP:
            result[DONE] = True
        if duplicate:
            trial.last_result = result
            self._state.result(trial, result)
        else:
            self._take_result(trial, result)
        if checkpoint is not None:
            self._keep_checkpoint(trial, checkpoint)
        self._act(trial, decision, checkpoint is not None)

    def _take_result(self, trial: Trial, result: dict[str, Any]) -> None:
        """As in Ray, callbacks see the result before `trial.last_result` is it."""
        trial.reported += 1
        arguments: dict[str, Any] = {"iteration": self.turn, "trials": self._trials, "trial": trial}
        try:
            self._callbacks.call("on_trial_result", **arguments, result=result)
        finally:
            trial.update_last_result(result)
            self._state.result(trial, result)

    def _check_metric(self, trial: Trial, result: dict[str, Any]) -> None:
        """A metric that results lack is a mistake in the program: nothing would ever be optimised."""
        if self._metric is None or has(result, self._metric) or _strict_is_off():
            return
        names = ", ".join(sorted(set(map(str, result)) - AUTO_FIELDS))
        if not names:  # a function that has ended without a word
            return
        raise ValueError(
            f"{trial} has not reported the metric {self._metric!r}; it has reported: {names}. "
            "(TUNE_DISABLE_STRICT_METRIC_CHECKING=1 lets it pass)"
        )

    def _decide(self, trial: Trial, result: dict[str, Any]) -> str:
        stop = self._stopper(trial.trial_id, result)
        flat = flatten(result)  # schedulers and searchers may ask for `a/b`
        if stop or result.get(DONE):
            self._scheduler.on_trial_complete(self, trial, flat)
            self._source.complete(trial, flat)
            return TrialScheduler.STOP
        decision = self._scheduler.on_trial_result(self, trial, flat)
        self._source.result(trial, flat)
        if decision == TrialScheduler.STOP:
            self._source.complete(trial, flat)
        return decision

    def _act(self, trial: Trial, decision: str, saved: bool) -> None:
        if trial.trial_id not in self._live or decision == TrialScheduler.NOOP:
            return
        if decision == TrialScheduler.CONTINUE:
            self._actors.train(trial)
        elif decision == TrialScheduler.PAUSE:
            self._save_then(trial, "pause", saved)
        else:
            self._save_then(trial, "stop", saved or not self._checkpoint_at_end)

    def _save_then(self, trial: Trial, what: str, saved: bool) -> None:
        self._saving[trial.trial_id] = what
        if saved:
            self._after_saving(trial)
        else:
            self._actors.save(trial)

    def _saved(self, trial: Trial, checkpoint: Checkpoint | None) -> None:
        if checkpoint is not None:
            self._keep_checkpoint(trial, checkpoint)
        self._after_saving(trial)

    def _after_saving(self, trial: Trial) -> None:
        what = self._saving.pop(trial.trial_id, None)
        if what == "go on":
            return
        if what == "pause":
            self._leave(trial, Trial.PAUSED)
            self._paused[trial.trial_id] = trial
        elif self._export_formats and trial.trial_id in self._live:
            self._actors.export(trial, self._export_formats)
        else:
            self._end(trial)

    def _end(self, trial: Trial) -> None:
        self._leave(trial, Trial.TERMINATED)
        self._callbacks.call(
            "on_trial_complete", iteration=self.turn, trials=self._trials, trial=trial
        )

    def _keep_checkpoint(self, trial: Trial, checkpoint: Checkpoint) -> None:
        going = self._lent.removable(
            trial.checkpoints.add(checkpoint, _numbers(trial.last_result), trial.reported)
        )
        going.extend(self._lent.release(trial.trial_id))
        self._state.changed(trial)
        self._state.after_commit(lambda: remove_files(going))
        arguments: dict[str, Any] = {"iteration": self.turn, "trials": self._trials, "trial": trial}
        self._callbacks.call("on_checkpoint", **arguments, checkpoint=checkpoint)
        self._callbacks.call("on_trial_save", **arguments)

    def _leave(self, trial: Trial, status: str, failed: bool = False) -> None:
        """Ends the process of a trial and gives its resources back."""
        self._saving.pop(trial.trial_id, None)
        self._starting.discard(trial.trial_id)
        if self._live.pop(trial.trial_id, None) is not None:
            self._actors.stop(trial, failed)
            self.resources.give_back(trial)
        trial.status = status
        trial.end_time = time.time()
        self._state.changed(trial)
        if trial.is_finished() and (free := self._lent.release(trial.trial_id)):
            self._state.after_commit(lambda: remove_files(free))

    # Failures.

    def _failed(self, trial: Trial, error: BaseException) -> None:
        if isinstance(getattr(error, "cause", None), RestoreFailedError):
            self._restore_failed(trial, error)
            return
        if self._interrupted and self._saving.get(trial.trial_id) == "pause":
            self._after_saving(
                trial
            )  # it could not save itself: it will go on from its last checkpoint
            return
        trial.num_failures += 1
        self._state.write_error(trial, error)
        again = self._max_failures < 0 or trial.num_failures <= self._max_failures
        if again and not self._fail_fast and not self._stopping:
            self._try_again(trial)
            return
        trial.error, trial.error_message = (
            error,
            "".join(traceback.format_exception_only(error)).strip(),
        )
        self._leave(trial, Trial.ERROR, failed=True)
        self._scheduler.on_trial_error(self, trial)
        self._source.complete(trial, trial.last_result, failed=True)
        self._callbacks.call(
            "on_trial_error", iteration=self.turn, trials=self._trials, trial=trial
        )
        if self._fail_fast:
            if str(self._fail_fast).lower() == "raise":
                self.failed_with = error
            self.stop_all(f"fail_fast: {trial} has failed")

    def _try_again(self, trial: Trial) -> None:
        _logger.warning(
            "%s has failed (%d of %s times it may) and is tried again from %s",
            trial,
            trial.num_failures,
            self._max_failures if self._max_failures >= 0 else "any number of",
            _where_from(trial),
        )
        self._leave(trial, Trial.PENDING, failed=True)
        self._pending[trial.trial_id] = trial
        self._callbacks.call(
            "on_trial_recover", iteration=self.turn, trials=self._trials, trial=trial
        )

    def _restore_failed(self, trial: Trial, error: BaseException) -> None:
        bad = trial.restore_from
        self._leave(trial, Trial.PENDING, failed=True)
        if trial.checkpoints.latest == bad and bad is not None:
            trial.checkpoints.drop_latest()
        trial.restore_from = None
        _logger.warning(
            "%s cannot go on from %s (%s): it goes on from %s",
            trial,
            getattr(bad, "path", "its checkpoint"),
            getattr(error, "cause", None) or error,
            _where_from(trial),
        )
        self._pending[trial.trial_id] = trial

    # What others may order.

    def pause_trial(self, trial: Trial, should_checkpoint: bool = True) -> None:
        """Makes a running trial wait; with should_checkpoint=False it goes on from its last checkpoint."""
        if trial.trial_id not in self._live:
            return
        if should_checkpoint:
            self._save_then(trial, "pause", False)
        else:
            self._saving[trial.trial_id] = "pause"
            self._after_saving(trial)

    def save_trial(self, trial: Trial) -> None:
        """Asks a running trial for a checkpoint, which it takes before its next step; a function takes none. Until it
        is there, is_saving(trial)."""
        if trial.trial_id in self._live and trial.trial_id not in self._saving:
            self._saving[trial.trial_id] = "go on"
            self._actors.save(trial)

    def is_saving(self, trial: Trial) -> bool:
        """Whether a checkpoint of it is on its way."""
        return trial.trial_id in self._saving

    def go_on_from(self, trial: Trial, checkpoint: Checkpoint) -> None:
        """A trial that waits will go on from another's checkpoint, whose files stay as long as it needs them. What
        it has reported itself stays, too."""
        trial.restore_from = checkpoint
        self._lent.lend(checkpoint, trial.trial_id)
        self._state.changed(trial)

    def stop_trial(self, trial: Trial) -> None:
        """Ends a trial, whatever its state."""
        if trial.is_finished():
            return
        self._scheduler.on_trial_remove(self, trial)
        self._source.complete(trial, trial.last_result)
        self._pending.pop(trial.trial_id, None)
        self._paused.pop(trial.trial_id, None)
        self._end(trial)

    def stop_all(self, why: str) -> None:
        """Ends all that runs, and starts nothing more."""
        if self._stopping:
            return
        self._stopping = True
        _logger.info("the experiment ends: %s", why)
        for trial in self.get_live_trials():
            self.stop_trial(trial)

    def interrupt(self, seconds: float) -> None:
        """Ctrl-C: what can save itself does, within the time; all trials stay as they are, to be resumed."""
        self._stopping = self._interrupted = True
        for event in self._events:
            if event.kind == "started":
                event.trial.status = Trial.RUNNING
            self._late(event)
        saving = [trial for trial in self._live.values() if trial.status == Trial.RUNNING]
        for trial in saving:
            self._save_then(trial, "pause", False)
        until = time.monotonic() + seconds
        while any(trial.trial_id in self._saving for trial in saving) and time.monotonic() < until:
            for event in self._actors.wait(until - time.monotonic()):
                self._late(event)
        for trial in list(self._live.values()):
            self._leave(trial, Trial.PAUSED, failed=True)
            self._paused[trial.trial_id] = trial

    def _late(self, event: Event) -> None:
        """It was on its way: taken, but nothing more is asked."""
        if event.trial.trial_id not in self._live:
            return
        if event.kind == "result":
            self._late_result(event.trial, *event.value)
        elif event.kind in ("saved", "failed"):
            self._handle(event)

    def _late_result(self, trial: Trial, result: dict[str, Any], path: str | None) -> None:
        if result.pop("__duplicate__", False):
            return
        result["config"], result["experiment_tag"] = trial.config, trial.experiment_tag
        self._take_result(trial, result)
        if path:
            self._keep_checkpoint(trial, Checkpoint(path))

    def abandon(self) -> None:
        """After an exception in the loop: ends all processes, keeps what has been reported, closes the journal."""
        self._stopping = True
        self._actors.kill_all()
        self._state.keep(self._source, self._scheduler, self._callbacks, at_once=True)
        self._state.close()

    def finish(self, at_once: bool = False) -> None:
        """Ends the processes, tells the callbacks, closes the journal. at_once: processes are killed."""
        self._actors.release_waiting()
        if at_once:
            for trial in list(self._live.values()):
                self._leave(trial, Trial.PAUSED, failed=True)
            self._actors.kill_all()
        self._actors.reap(until_all=True)
        self._state.commit()
        self._callbacks.call("on_experiment_end", trials=self._trials)
        self._state.keep(self._source, self._scheduler, self._callbacks, at_once=True)
        self._state.close()
        if self.failed_with is not None:
            raise self.failed_with


def _where_from(trial: Trial) -> str:
    """Where a trial goes on, for those who read."""
    if trial.checkpoints.borrowed is not None:
        return f"the checkpoint that it has from another trial ({trial.checkpoints.latest})"
    newest = trial.checkpoints.newest
    return f"its checkpoint of iteration {newest.iteration}" if newest else "the start"


def _numbers(result: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint's metrics keep of a result: its numbers, nested ones by their path, numpy's as Python's."""
    return {
        name: value if isinstance(value, (int, float)) else float(value)
        for name, value in flatten(result, leave_out=("config",)).items()
        if is_number(value)
    }


def _strict_is_off() -> bool:
    return os.environ.get("TUNE_DISABLE_STRICT_METRIC_CHECKING") == "1"
