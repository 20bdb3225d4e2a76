"""Callbacks: what a program wants to be told while trials run. Follows `ray.tune.Callback`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from .utils.writer import Writer

_logger = logging.getLogger("eagleray.tune")
_AT_AN_END = ("on_trial_complete", "on_trial_error", "on_experiment_end")


class Callback:
    """Every method may be overridden. They are called in the driver, between results: what takes long delays all
    trials. `iteration` counts turns of the controller's loop, `trials` are all trials."""

    reads_files = True  # of trials that end: the loggers' lines are there when it is told

    def setup(
        self,
        stop: Any = None,
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,
    ) -> None:
        """Once, before the first trial."""

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Before each turn of the loop."""

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """After each turn of the loop."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial runs, for the first time or again."""

    def on_trial_restore(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial goes on from a checkpoint."""

    def on_trial_save(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has saved itself."""

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial has reported."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has ended as it should."""

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has failed and will be tried again."""

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has failed for good."""

    def on_checkpoint(
        self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any
    ) -> None:
        """A checkpoint of a trial is there."""

    def on_trial_rewind(
        self,
        iteration: int,
        trials: list[Any],
        trial: Any,
        results: list[dict[str, Any]],
        **info: Any,
    ) -> None:
        """A trial goes on from before its last results: only `results` count. Not in Ray, which keeps both lives."""

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Once, at the end."""

    def get_state(self) -> dict[str, Any] | None:
        """What has to be kept to go on after a restore; None: nothing."""
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes back what get_state() gave."""


class CallbackList:
    """Calls those callbacks that have overridden a method, and nobody else: a method that nobody has costs nothing.

    A callback that raises ends the experiment, unless it is one of the loggers (`tolerant`): their failure (a full
    disk) is said once, and the trials go on.
    """

    def __init__(self, callbacks: Iterable[Callback]) -> None:
        self.callbacks = list(callbacks)
        self._methods: dict[str, list[Callable[..., Any]]] = {}
        self._failed: set[str] = set()
        self.writer = Writer(self.say_failure)
        for callback in self.callbacks:
            if hasattr(callback, "use_writer"):
                callback.use_writer(self.writer)

    def call(self, name: str, **arguments: Any) -> None:
        """Calls `name` on each, in order."""
        methods = self._methods.get(name)
        if methods is None:
            own = getattr(Callback, name)
            methods = [
                getattr(callback, name)
                for callback in self.callbacks
                if getattr(type(callback), name, None) is not own
            ]
            self._methods[name] = methods
        for method in methods:
            owner = getattr(method, "__self__", None)
            if name in _AT_AN_END and getattr(owner, "reads_files", True):
                self.writer.flush()
            try:
                method(**arguments)
            except OSError as error:
                if not getattr(owner, "tolerant", False):
                    raise
                self.say_failure(owner, error)

    def say_failure(self, owner: Any, error: OSError) -> None:
        """Of a logger: once for each kind. Also called by the writer's thread."""
        kind = type(owner).__name__
        if kind not in self._failed:
            self._failed.add(kind)
            _logger.error(
                "%s cannot write (%s): what it keeps is incomplete from here on; the trials go on",
                kind,
                error,
            )

    def get_state(self) -> dict[int, Any]:
        return {
            index: state
            for index, callback in enumerate(self.callbacks)
            if (state := callback.get_state()) is not None
        }

    def set_state(self, states: dict[int, Any]) -> None:
        for index, state in states.items():
            if index < len(self.callbacks):
                self.callbacks[index].set_state(state)
