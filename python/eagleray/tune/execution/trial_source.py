"""Where trials come from: asks the searcher for configs and makes trials of them."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

from ..experiment.checkpoints import CheckpointList
from ..experiment.trial import Trial
from ..search.basic_variant import BasicVariantGenerator
from ..search.searcher import FINISHED, Searcher
from ..search.variant_generator import copy_config, flatten_resolved, has_unresolved
from ..utils.flatten import flatten, lookup
from .resources import resources_of

_logger = logging.getLogger("eagleray.tune")
AHEAD = 16  # trials that are made before they can run; a searcher that learns makes one


class TrialSource:
    """Makes trials, and tells the searcher what became of them.

    samples: how many a searcher that has no end is asked for; -1: no end. make: what all trials have in common.
    """

    def __init__(
        self,
        searcher: Searcher,
        *,
        trainable: Any,
        trainable_name: str,
        experiment_path: str,
        config: dict[str, Any],
        samples: int,
        resources: Any = None,
        new_checkpoints: Callable[[], CheckpointList] = CheckpointList,
        name_creator: Any = None,
        dirname_creator: Any = None,
        restore: Any = None,
    ) -> None:
        self.searcher = searcher
        self._trainable, self._trainable_name = trainable, trainable_name
        self.experiment_path, self._config, self._samples = experiment_path, config, samples
        self._resources, self._new_checkpoints = resources, new_checkpoints
        self._name_creator, self._dirname_creator = name_creator, dirname_creator
        self._restore = restore
        self.prefix = uuid.uuid4().hex[:5]
        self.made = 0
        self.finished = False
        self._live: set[str] = set()  # suggested, and the searcher has not been told of their end
        self._unknown: set[str] = set()  # made behind the state that the searcher has got back
        self._same: Any = None  # what each trial needs, if that is one for all

    @property
    def ahead(self) -> int:
        return AHEAD if isinstance(self.searcher, BasicVariantGenerator) else 1

    @property
    def total(self) -> int | None:
        """How many trials there will be, where that is known."""
        own = self.searcher.total_samples
        if own is not None:
            return own
        return self._samples if self._samples >= 0 and not self.finished else (self.made or None)

    def next(self) -> Trial | None:
        """A new trial; None: not now, or no more (`finished`)."""
        basic = isinstance(self.searcher, BasicVariantGenerator)
        if not basic and 0 <= self._samples <= self.made:
            self.finished = True
            return None
        trial_id = f"{self.prefix}_{self.made:05d}"
        config = self.searcher.suggest(trial_id)
        if config is None:
            return None
        if isinstance(config, str) and config == FINISHED:
            self.finished = True
            return None
        self._live.add(trial_id)
        resolved = getattr(self.searcher, "resolved", {}).pop(trial_id, None)
        if resolved is None:  # what a searcher suggests is chosen; the rest of the config is fixed
            resolved = {
                tuple(key.split("/")): value
                for key, value in flatten_resolved(_leaves(config)).items()
            }
            config = _merged(self._config, config)
        return self._make(trial_id, config, resolved)

    def _make(self, trial_id: str, config: dict[str, Any], resolved: dict[Any, Any]) -> Trial:
        trial = Trial(
            self._trainable_name,
            trial_id=trial_id,
            config=config,
            resolved=resolved,
            number=self.made,
            experiment_path=self.experiment_path,
            resources=self._resources_for(config),
            checkpoints=self._new_checkpoints(),
        )
        self.made += 1
        if self._name_creator is not None:
            trial.custom_name = str(self._name_creator(trial))
        trial.name_directory(self._dirname_creator)
        if self._restore is not None:
            from ..checkpoint import Checkpoint

            trial.restore_from = Checkpoint(str(self._restore))
        return trial

    def _resources_for(self, config: dict[str, Any]) -> Any:
        """One object for all trials, where that does not depend on the config."""
        if self._same is None:
            made = resources_of(self._trainable, config, self._resources)
            fixed = self._resources is not None and not callable(self._resources)
            if not fixed:
                return made
            self._same = made
        return self._same

    def result(self, trial: Trial, result: dict[str, Any]) -> None:
        self.searcher.on_trial_result(trial.trial_id, result)

    def complete(self, trial: Trial, result: dict[str, Any], failed: bool = False) -> None:
        self._live.discard(trial.trial_id)
        if trial.trial_id in self._unknown:
            self._unknown.discard(trial.trial_id)
            self._tell_point(trial, result, failed)
            return
        self.searcher.on_trial_complete(
            trial.trial_id, None if failed and not result else result, failed
        )

    def get_state(self) -> dict[str, Any]:
        return {
            "made": self.made,
            "prefix": self.prefix,
            "live": set(self._live),
            "unknown": set(self._unknown),
            "searcher": self.searcher.get_state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.made, self.prefix = state["made"], state["prefix"]
        self._live, self._unknown = set(state["live"]), set(state["unknown"])
        if state.get("searcher") is not None:
            self.searcher.set_state(state["searcher"])

    def catch_up(self, trials: list[Trial], known: int) -> None:
        """After a restore: tells the searcher what has happened behind the last state that was kept: of its first `known`
        trials some have ended, and some more have been made."""
        self.made = max(self.made, len(trials))
        if isinstance(self.searcher, BasicVariantGenerator):
            self.searcher.set_state({**self.searcher.get_state(), "given": len(trials)})
            return
        for trial in trials[:known]:
            if trial.trial_id in self._live | self._unknown and trial.is_finished():
                self.complete(trial, flatten(trial.last_result), trial.status == Trial.ERROR)
        for trial in trials[known:]:
            if trial.is_finished():
                self._tell_point(trial, trial.last_result, trial.status == Trial.ERROR)
            else:
                self._unknown.add(trial.trial_id)

    def _tell_point(self, trial: Trial, result: dict[str, Any], failed: bool) -> None:
        """Teaches the searcher a trial that it does not remember to have suggested."""
        metric = self.searcher.metric
        value = lookup(result, metric) if isinstance(metric, str) else None
        if value is None:
            return
        try:
            self.searcher.add_evaluated_point(trial.config, value, failed)
        except NotImplementedError:
            _logger.warning(
                "%s cannot be told of %s, which was made just before the experiment was interrupted",
                type(self.searcher).__name__,
                trial,
            )


def _leaves(config: dict[str, Any], path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    found: dict[tuple[Any, ...], Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            found.update(_leaves(value, (*path, key)))
        else:
            found[path + (key,)] = value
    return found


def _merged(base: dict[str, Any], suggested: dict[str, Any]) -> dict[str, Any]:
    """The fixed part of the config with what was suggested."""
    made = {
        key: copy_config(value)
        for key, value in (base or {}).items()
        if not has_unresolved(value) or key in suggested
    }
    for key, value in suggested.items():
        inner = made.get(key)
        made[key] = (
            _merged(inner, value) if isinstance(value, dict) and isinstance(inner, dict) else value
        )
    return made
