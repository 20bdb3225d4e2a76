"""Each config in several trials, whose mean the searcher is told. Follows `ray.tune.search.Repeater`."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from ..utils.flatten import lookup
from .searcher import Searcher
from .variant_generator import copy_config

TRIAL_INDEX = "__trial_index__"  # of a trial among those with the same config, in its config


@dataclass
class _Group:
    """The trials of one config; known to the searcher by the first."""

    config: dict[str, Any]
    trials: list[str]
    scores: dict[str, float | None] = field(default_factory=dict)


class Repeater(Searcher):
    """Suggests each config of the searcher `repeat` times; tells it the mean of the metric over those that have not
    failed, when all have ended. set_index: configs hold `__trial_index__`, 0 to repeat - 1."""

    def __init__(self, searcher: Searcher, repeat: int = 1, set_index: bool = True) -> None:
        if repeat < 1:
            raise ValueError(f"repeat must be positive, not {repeat}")
        super().__init__(searcher.metric, searcher.mode)
        self.searcher, self.repeat, self._set_index = searcher, repeat, set_index
        self._group_of: dict[str, _Group] = {}  # by trial
        self._open: _Group | None = None  # has fewer trials than it is to have

    @property
    def metric(self) -> Any:
        return self.searcher.metric

    @property
    def mode(self) -> Any:
        return self.searcher.mode

    @property
    def total_samples(self) -> int | None:
        own = self.searcher.total_samples
        return None if own is None else own * self.repeat

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        return self.searcher.set_search_properties(metric, mode, config, **spec)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        return self.searcher.set_max_concurrency(max_concurrent)

    def suggest(self, trial_id: str) -> Any:
        if self._open is None:
            config = self.searcher.suggest(trial_id)
            if config is None or config == Searcher.FINISHED:
                return config
            self._open = _Group(config, [])
        group = self._open
        group.trials.append(trial_id)
        self._group_of[trial_id] = group
        if len(group.trials) == self.repeat:
            self._open = None
        made = copy_config(group.config)
        if self._set_index:
            made[TRIAL_INDEX] = len(group.trials) - 1
        return made

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        group = self._group_of.pop(trial_id, None)
        if group is None:
            return
        score = lookup(result, self.metric) if result and not error else None
        group.scores[trial_id] = score
        if len(group.scores) < self.repeat:
            return
        scores = [one for one in group.scores.values() if one is not None]
        if scores:
            self.searcher.on_trial_complete(
                group.trials[0], {**(result or {}), self.metric: statistics.fmean(scores)}
            )
        else:
            self.searcher.on_trial_complete(group.trials[0], None, error=True)

    def get_state(self) -> dict[str, Any]:
        return {
            "searcher": self.searcher.get_state(),
            "groups": self._group_of,
            "open": self._open,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.searcher.set_state(state["searcher"])
        self._group_of, self._open = state["groups"], state["open"]
