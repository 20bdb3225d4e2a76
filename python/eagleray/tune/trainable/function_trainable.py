"""A function as a Trainable: it runs in a thread of its own and stops in each report() until Tune asks for the next.

Hand-over: two queues, and whoever may not go on waits at one. A result costs two switches of threads and no wait with
a time-out. Follows `ray.tune.trainable.FunctionTrainable`.
"""

from __future__ import annotations

import inspect
import queue
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import session as sessions
from ..checkpoint import Checkpoint, write_aside
from ..result import DEFAULT_METRIC, DONE, TRAINING_ITERATION
from .trainable import Trainable


class _Run:
    """One call of the function. Its thread and the one that asks take turns."""

    def __init__(
        self, trainable: type[FunctionTrainable], config: dict[str, Any], info: Any, checkpoint: Any
    ) -> None:
        self._function, self._takes = trainable._function, trainable._takes
        self._config = config
        self._name = getattr(info, "trial_name", "a trial")
        self.session = sessions.Session(info, checkpoint, self._deliver)
        self._one_at_a_time = threading.Lock()
        self._may_run: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[dict[str, Any] | None, Checkpoint | None]] = (
            queue.SimpleQueue()
        )
        self._error: BaseException | None = None
        self.ended = False
        self._wanted = True
        self._thread = threading.Thread(target=self._main, name="trainable", daemon=True)
        self._began = False

    def next(self) -> tuple[dict[str, Any] | None, Checkpoint | None]:
        """The next result and its checkpoint; (None, None) at the end. What the function raised is raised."""
        answer: tuple[dict[str, Any] | None, Checkpoint | None] = (None, None)
        if not self.ended:
            if self._began:
                self._may_run.put(None)
            else:
                self._began = True
                self._thread.start()
            answer = self._answers.get()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return answer

    def stop(self, seconds: float) -> bool:
        """Asks the function to end at its next report(). False: it has not ended within the time."""
        self._wanted = False
        if not self._began:
            return True
        self._may_run.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _deliver(self, metrics: dict[str, Any], checkpoint: Checkpoint | None) -> None:
        with self._one_at_a_time:  # a function may report from several threads
            if self.ended:
                sessions.drop_late(f"of {self._name}")
            if not self._wanted:
                raise sessions.Ended
            self._answers.put((metrics, checkpoint))
            self._may_run.get()
            if not self._wanted:
                raise sessions.Ended

    def _main(self) -> None:
        sessions.bind(self.session)
        try:
            value = _call(self._function, self._takes, self._config, self.session)
            if inspect.isgenerator(value):
                for item in value:
                    self._deliver(_as_metrics(item), None)
            elif value is not None:
                self._deliver(_as_metrics(value), None)
        except sessions.Ended:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self.ended = True
            self._answers.put((None, None))


def _as_metrics(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(
            "a trainable function returns or yields a dict or a number, not "
            f"{type(value).__name__}: {value!r}"
        )
    return {DEFAULT_METRIC: value}


def _call(
    function: Callable[..., Any],
    takes: tuple[str, ...],
    config: dict[str, Any],
    session: sessions.Session,
) -> Any:
    """f(config), f(config, reporter) of 2019 or f(config, checkpoint_dir=None) of 2020."""
    extra: dict[str, Any] = {}
    if "checkpoint_dir" in takes:
        extra["checkpoint_dir"] = session.checkpoint.path if session.checkpoint else None
    if "reporter" in takes:
        extra["reporter"] = sessions.report
    return function(config, **extra)


class FunctionTrainable(Trainable):
    """The base of the classes that stand for functions; `_function` is the function."""

    _function: Callable[..., Any]
    _takes: tuple[str, ...] = ()  # of the arguments that functions of older days have

    def setup(self, config: dict[str, Any]) -> None:
        self._run: _Run | None = None
        self._from: Checkpoint | None = None  # what the function will start from
        self._reported: Checkpoint | None = None  # by the last result
        self._last_metrics: dict[str, Any] = {}

    def step(self) -> dict[str, Any]:
        """What the function reports next. At its end: the last result again, with done=True."""
        if self._run is None:
            self._run = _Run(type(self), self.config, self._trial_info, self._from)
        metrics, checkpoint = self._run.next()
        self._reported = self._keep(checkpoint) if checkpoint is not None else None
        if metrics is None:
            return {**self._last_metrics, DONE: True, "__duplicate__": True}
        self._last_metrics = dict(metrics)
        return self._last_metrics

    def _complete(self, result: dict[str, Any], seconds: float) -> dict[str, Any]:
        if result.pop("__duplicate__", False) and self._iteration > 0:
            result[TRAINING_ITERATION] = self._iteration  # the last one, said again
            self._iteration -= 1
            done = super()._complete(result, seconds)
            done["__duplicate__"] = True
            return done
        return super()._complete(result, seconds)

    def _keep(self, checkpoint: Checkpoint) -> Checkpoint:
        """Copies what the function wrote to where the trial's checkpoints are."""
        source = Path(checkpoint.path)
        target = Path(self.logdir) / f"checkpoint_{self._iteration:06d}"
        if source == target:
            return checkpoint
        if not source.is_dir():
            raise FileNotFoundError(f"report() was given a checkpoint that is not there: {source}")
        self._iteration += 1  # the manifest is of the result that this checkpoint came with
        try:
            with write_aside(target) as aside:
                if checkpoint.made_for_report:
                    for file in source.iterdir():
                        shutil.move(str(file), aside / file.name)
                    source.rmdir()
                else:
                    shutil.copytree(source, aside, dirs_exist_ok=True)
                return self._manifest_written(aside, target)
        finally:
            self._iteration -= 1

    @property
    def reported_checkpoint(self) -> Checkpoint | None:
        """The checkpoint that came with the last result."""
        return self._reported

    def save_checkpoint(self, checkpoint_dir: str) -> Any:
        raise NotImplementedError("a function saves itself, with report(..., checkpoint=)")

    def restore(self, checkpoint_path: Any, checkpoint_node_ip: Any = None) -> None:
        from ..checkpoint import read_manifest

        path = Path(getattr(checkpoint_path, "path", checkpoint_path))
        manifest = read_manifest(path)
        self._from = Checkpoint(str(path))
        self._iteration = manifest.get("iteration", 0)
        self._time_total = manifest.get("time_total", 0.0)
        self._timesteps_total = manifest.get("timesteps_total")
        self._episodes_total = manifest.get("episodes_total")
        self._restored_at = (self._iteration, self._time_total, self._timesteps_total or 0)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self._run is not None and not self._run.ended and not self._run.stop(5.0):
            return False  # the thread of the last trial is still in there
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        if self._run is not None and not self._run.ended:
            self._run.stop(1.0)
        sessions.bind(None)


def wrap_function(function: Callable[..., Any], name: str | None = None) -> type[FunctionTrainable]:
    """The class that stands for a function, with its name and its resources."""
    attributes: dict[str, Any] = {
        "_function": staticmethod(function),
        "_takes": tuple(
            name for name in ("checkpoint_dir", "reporter") if sessions.accepts(function, name)
        ),
        "__module__": getattr(function, "__module__", "__main__"),
    }
    made = type(
        name or str(getattr(function, "__name__", "func")), (FunctionTrainable,), attributes
    )
    resources = getattr(function, "_resources", None)
    if resources is not None:
        from .util import attach_resources

        attach_resources(made, resources)
    return made
