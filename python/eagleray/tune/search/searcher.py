"""Searcher: where the configs of trials come from. Follows `ray.tune.search.Searcher`."""

from __future__ import annotations

import copy
from typing import Any

from ..._planned import lazily
from ..utils.saved_state import SavedState

FINISHED = "FINISHED"


class Searcher(SavedState):
    """Subclasses define `suggest` and `on_trial_complete`, and mostly `on_trial_result`.

    metric: a name of a result's field, or a list of names. mode: "min" or "max", one for each metric.
    """

    FINISHED = FINISHED
    CKPT_FILE_TMPL = "searcher-state-{}.pkl"

    def __init__(self, metric: Any = None, mode: Any = None) -> None:
        self._metric, self._mode = metric, mode
        if metric is not None and mode is None:
            raise ValueError("a metric needs a mode: 'min' or 'max'")
        for one in mode if isinstance(mode, (list, tuple)) else [mode]:
            if one not in (None, "min", "max"):
                raise ValueError(f"mode must be 'min' or 'max', not {one!r}")

    @property
    def metric(self) -> Any:
        return self._metric

    @property
    def mode(self) -> Any:
        return self._mode

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Takes the metric, mode and space of tune.run() where it has none of its own. False: it has a space, and
        cannot take another."""
        return False

    def suggest(self, trial_id: str) -> Any:
        """The config of a new trial; None: not now; FINISHED: there are no more."""
        raise NotImplementedError

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A trial has reported."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """A trial has ended; result: its last one; error: it failed, or was given up."""

    def add_evaluated_point(
        self, parameters: dict[str, Any], value: float, error: bool = False
    ) -> None:
        """Tells it a point whose value is known already."""
        raise NotImplementedError(
            f"{type(self).__name__} cannot take points that were evaluated elsewhere"
        )

    def add_evaluated_trials(self, trials_or_analysis: Any, metric: str) -> None:
        """Tells it the trials of an earlier experiment."""
        for trial in getattr(trials_or_analysis, "trials", trials_or_analysis):
            if metric in trial.last_result:
                self.add_evaluated_point(
                    trial.config, trial.last_result[metric], trial.status == "ERROR"
                )

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """True if it limits itself."""
        return False

    @property
    def total_samples(self) -> int | None:
        """How many trials there will be, where that is known."""
        return None

    def copy(self) -> Any:
        return copy.deepcopy(self)


SearchAlgorithm = Searcher


__getattr__ = lazily(__name__)  # names that are planned
