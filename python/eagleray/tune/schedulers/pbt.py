"""Population based training (Jaderberg et al., 2017). Follows `ray.tune.schedulers.PopulationBasedTraining`.

Every so often a trial that is among the worst takes over the checkpoint and the config of one of the best (exploit),
with some of the settings changed (explore). No trial is stopped.
"""

from __future__ import annotations

import json
import logging
import math
import os
import random
import shutil
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from ..result import TRAINING_ITERATION
from ..search.basic_variant import BasicVariantGenerator
from ..search.sample import Domain
from ..search.searcher import Searcher
from ..search.variant_generator import flatten_resolved, format_vars
from ..utils import to_json
from ..utils.flatten import flatten, lookup
from .explore import explore, fill
from .metric_scheduler import MetricScheduler
from .trial_scheduler import TrialScheduler, needs_of, waits

_logger = logging.getLogger("eagleray.tune")


@dataclass
class PBTState:
    """What is known of a trial."""

    tag: str
    number: int
    score: float | None = None
    time: float = 0.0  # of the result that has the score
    perturbed_at: float = 0.0
    saved: bool = False  # it was among the best then, and has a checkpoint of that time


class PopulationBasedTraining(MetricScheduler):
    """Replaces the worst trials by changed copies of the best. Trainables must save and load themselves.

    perturbation_interval: time between two decisions about a trial, burn_in_period: time before the first (in units
    of time_attr). hyperparam_mutations: what may be changed, a list of values, a domain (tune.uniform()...), a function
    or a nested dictionary of these; what a config lacks is drawn. quantile_fraction: which part are the worst, and the
    best, 0 to 0.5. resample_probability: that a setting is drawn again; else it is multiplied by one of
    perturbation_factors, or becomes a neighbour in its list. custom_explore_fn: config -> config, at the end.
    log_config: writes each change into pbt_global.txt and pbt_policy_ID.txt in the trial's directory, which
    PopulationBasedTrainingReplay reads. require_attrs: a result without time_attr or metric is a RuntimeError. synch:
    trials wait for each other at each interval.
    """

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        burn_in_period: float = 0.0,
        hyperparam_mutations: dict[str, Any] | None = None,
        quantile_fraction: float = 0.25,
        resample_probability: float = 0.25,
        perturbation_factors: tuple[float, float] = (1.2, 0.8),
        custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
    ) -> None:
        super().__init__(time_attr, metric, mode)
        mutations = hyperparam_mutations or {}
        _check_mutations(mutations)
        if not mutations and custom_explore_fn is None:
            raise ValueError(
                f"{type(self).__name__} needs hyperparam_mutations or custom_explore_fn: what may be changed"
            )
        if not 0 <= quantile_fraction <= 0.5:
            raise ValueError(f"quantile_fraction must be from 0 to 0.5, not {quantile_fraction}")
        if perturbation_interval <= 0:
            raise ValueError(f"perturbation_interval must be positive, not {perturbation_interval}")
        self._interval, self._burn_in, self._mutations = (
            perturbation_interval,
            burn_in_period,
            mutations,
        )
        self._fraction, self._resample, self._factors = (
            quantile_fraction,
            resample_probability,
            perturbation_factors,
        )
        self._custom, self._log_config = custom_explore_fn, log_config
        self._require, self._synch = require_attrs, synch
        self._next_sync = perturbation_interval
        self._trials: dict[str, Any] = {}  # those that live, by id
        self._states: dict[str, PBTState] = {}
        self._ranked: list[tuple[float, int, str]] = []  # score, number, id of those that live
        # Those that live, by what they need: a heap of time, number, id. An entry is good if its time still is.
        self._by_time: dict[Any, list[tuple[float, int, str]]] = {}
        self._inherits: dict[str, str] = {}  # waits for the checkpoint of
        self._checkpoints = self._perturbations = 0

    # Trials that come and go.

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        searcher = getattr(controller, "search_alg", None)
        if isinstance(searcher, Searcher) and not isinstance(searcher, BasicVariantGenerator):
            raise ValueError(
                f"{type(self).__name__} chooses the settings itself: it cannot be used with "
                f"{type(searcher).__name__}, leave search_alg out"
            )
        self.require_metric()
        self._trials[trial.trial_id] = trial
        state = self._states.get(trial.trial_id)
        if state is None:
            self._states[trial.trial_id] = PBTState(trial.experiment_tag, len(self._states))
            drawn = flatten_resolved(self.fill(trial.config))
            trial.evaluated_params = {**trial.evaluated_params, **drawn}
        elif state.score is not None:  # after a restore
            self._rank(trial.trial_id, state, state.score)
        self._queue(trial.trial_id)

    def fill(self, config: dict[str, Any]) -> dict[tuple[Any, ...], Any]:
        """Draws what a config lacks."""
        return fill(config, self._mutations)

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self.on_trial_remove(controller, trial)

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        self.on_trial_remove(controller, trial)

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        self._trials.pop(trial.trial_id, None)
        self._unrank(trial.trial_id)
        if self._synch and self._trials and not self._behind(trial):
            self._perturb_all(controller)  # the others have waited for it

    def _queue(self, trial_id: str) -> None:
        """After its time has changed."""
        trial = self._trials.get(trial_id)
        if trial is not None:
            entry = (self._states[trial_id].time, trial.number, trial_id)
            heappush(self._by_time.setdefault(needs_of(trial), []), entry)

    def _rank(self, trial_id: str, state: PBTState, score: float) -> None:
        self._unrank(trial_id)
        state.score = score
        insort(self._ranked, (score, state.number, trial_id))

    def _unrank(self, trial_id: str) -> None:
        state = self._states[trial_id]
        if state.score is not None:
            place = bisect_left(self._ranked, (state.score, state.number, trial_id))
            if place < len(self._ranked) and self._ranked[place][2] == trial_id:
                del self._ranked[place]

    # Results.

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        time, score = self.time_of(result), self.score_of(result)
        if time is None or score is None:
            if not self._require:
                return TrialScheduler.CONTINUE
            missing = self._time_attr if time is None else self._metric
            raise RuntimeError(
                f"a result of {trial} has no {missing!r}, which {type(self).__name__} needs "
                "(require_attrs=False passes it over)"
            )
        state = self._states[trial.trial_id]
        self.observe(trial, time, score)
        if time < self._burn_in or time - state.perturbed_at < self._interval:
            return TrialScheduler.CONTINUE
        state.time = time
        self._queue(trial.trial_id)
        self._rank(trial.trial_id, state, score)
        if self._synch:
            if self._behind(trial):
                return TrialScheduler.PAUSE
            self._perturb_all(controller)
            return TrialScheduler.NOOP if trial.status == trial.PAUSED else TrialScheduler.PAUSE
        state.perturbed_at = time
        waits = any(True for _ in controller.pending_trials()) or any(
            True for _ in controller.paused_trials()
        )
        self._save_or_exploit(controller, trial, will_save=waits)
        if trial.status == trial.PAUSED:
            return TrialScheduler.NOOP
        return TrialScheduler.PAUSE if waits else TrialScheduler.CONTINUE

    def observe(self, trial: Any, time: float, score: float) -> None:
        """Is told every result."""

    def _behind(self, but: Any) -> bool:
        """Whether a trial has yet to come to where all wait for each other."""
        return any(
            self._states[one].time < self._next_sync for one in self._trials if one != but.trial_id
        )

    def _perturb_all(self, controller: Any) -> None:
        latest = max(self._states[one].time for one in self._trials)
        self._next_sync = max(self._next_sync + self._interval, latest)
        trials = list(self._trials.values())
        for trial in trials:
            self._states[trial.trial_id].perturbed_at = self._states[trial.trial_id].time
        for trial in trials:  # all of the best are known before the first takes over from one
            self._states[trial.trial_id].saved = self._is_among_best(trial.trial_id)
        for trial in trials:
            if self._is_among_worst(trial.trial_id):
                self._exploit(controller, trial)
            elif self._is_among_best(trial.trial_id):
                self._checkpoints += 1

    def _quantile(self) -> int:
        """How many are the worst, and how many the best, of those that have scores."""
        total = len(self._ranked)
        return min(math.ceil(total * self._fraction), total // 2)

    def _place(self, trial_id: str) -> int | None:
        """From the worst, 0; None: it has no score."""
        state = self._states[trial_id]
        if state.score is None or trial_id not in self._trials:
            return None
        return bisect_left(self._ranked, (state.score, state.number, trial_id))

    def _is_among_worst(self, trial_id: str) -> bool:
        place = self._place(trial_id)
        return place is not None and place < self._quantile()

    def _is_among_best(self, trial_id: str) -> bool:
        place = self._place(trial_id)
        return place is not None and place >= len(self._ranked) - self._quantile()

    def _save_or_exploit(self, controller: Any, trial: Any, will_save: bool) -> None:
        state = self._states[trial.trial_id]
        state.saved = self._is_among_best(trial.trial_id)
        if state.saved:
            self._checkpoints += 1
            if not will_save:
                controller.save_trial(trial)
        elif self._is_among_worst(trial.trial_id):
            self._exploit(controller, trial)

    def _exploit(self, controller: Any, trial: Any) -> None:
        """The trial waits, to go on as a changed copy of one of the best."""
        place = len(self._ranked) - 1 - random.randrange(self._quantile())
        donor = self._trials[self._ranked[place][2]]
        theirs, own = self._states[donor.trial_id], self._states[trial.trial_id]
        if not theirs.saved:
            _logger.info(
                "%s has no checkpoint of when it was among the best: not taken over", donor
            )
            return
        config, done = self.new_config(trial, donor)
        _logger.info(
            "%s (score %s) takes over from %s (score %s): %s",
            trial,
            own.score,
            donor,
            theirs.score,
            ", ".join(f"{key}: {what}" for key, what in flatten(done).items()),
        )
        if self._log_config:
            self._write_policy(trial, donor, config)
        if trial.status != trial.PAUSED:
            controller.pause_trial(trial, should_checkpoint=False)
        changed = {
            tuple(name.split("/")): lookup(config, name) for name in flatten(self._mutations)
        }
        trial.set_experiment_tag(f"{own.tag}@perturbed[{format_vars(changed)}]")
        trial.set_config(config)
        self._inherits[trial.trial_id] = donor.trial_id
        self._perturbations += 1
        # Its score stays its own, as in Ray: it is among the best when it has shown that itself.
        own.time, own.perturbed_at = theirs.time, theirs.perturbed_at
        self._queue(trial.trial_id)

    def new_config(self, trial: Any, donor: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The config that the trial goes on with, and what was done to the donor's."""
        return explore(donor.config, self._mutations, self._resample, self._factors, self._custom)

    def _write_policy(self, trial: Any, donor: Any, config: dict[str, Any]) -> None:
        """The trial's history becomes the donor's, and this change."""
        row = [
            self._states[trial.trial_id].tag,
            self._states[donor.trial_id].tag,
            trial.last_result.get(TRAINING_ITERATION, 0),
            donor.last_result.get(TRAINING_ITERATION, 0),
            donor.config,
            config,
        ]
        directory = trial.local_experiment_path
        theirs = os.path.join(directory, f"pbt_policy_{donor.trial_id}.txt")
        own = os.path.join(directory, f"pbt_policy_{trial.trial_id}.txt")
        if os.path.exists(theirs):
            shutil.copyfile(theirs, own)
        for path in (os.path.join(directory, "pbt_global.txt"), own):
            with open(path, "a") as file:
                file.write(to_json.dumps(row) + "\n")

    # Starts.

    def choose_trial_to_run(self, controller: Any) -> Any:
        """Of those that wait, the one that has come least far; it goes on from the checkpoint that it takes over."""
        seen: list[
            tuple[float, int, str]
        ] = []  # entries that stay, whatever becomes of their trials
        try:
            while True:
                heads = [
                    (entry, heap)
                    for heap in self._by_time.values()
                    if (entry := self._head(controller, heap, seen)) is not None
                    and controller.has_resources_for_trial(self._trials[entry[2]])
                ]
                if not heads:
                    return None
                entry, heap = min(heads, key=lambda head: head[0])
                if self._synch and entry[0] >= self._next_sync:
                    return None
                seen.append(heappop(heap))
                if self._take_over(controller, self._trials[entry[2]]):
                    return self._trials[entry[2]]
        finally:
            for *_, trial_id in dict.fromkeys(seen):
                self._queue(trial_id)

    def _head(
        self,
        controller: Any,
        heap: list[tuple[float, int, str]],
        seen: list[tuple[float, int, str]],
    ) -> tuple[float, int, str] | None:
        """The first entry of a trial that waits; those before it go: to `seen`, if they are good."""
        while heap:
            entry = heap[0]
            trial = self._trials.get(entry[2])
            good = trial is not None and entry[0] == self._states[entry[2]].time
            if good and self._by_time.get(needs_of(trial)) is heap and waits(controller, trial):
                return entry
            heappop(heap)
            if good:
                seen.append(entry)
        return None

    def _take_over(self, controller: Any, trial: Any) -> bool:
        """Gives a trial the checkpoint that it inherits. False: that is not written yet."""
        donor_id = self._inherits.get(trial.trial_id)
        if donor_id is None:
            return True
        donor = controller.get_trial(donor_id)
        if donor is not None and controller.is_saving(donor):
            return False
        del self._inherits[trial.trial_id]
        if donor is None or donor.checkpoint is None:
            _logger.warning("%s has no checkpoint: %s goes on from its own", donor_id, trial)
        else:
            controller.go_on_from(trial, donor.checkpoint)
        return True

    def debug_string(self) -> str:
        return f"{type(self).__name__}: {self._checkpoints} checkpoints, {self._perturbations} perturbs"

    def get_state(self) -> dict[str, Any]:
        names = ("_next_sync", "_states", "_inherits", "_checkpoints", "_perturbations")
        return {name: getattr(self, name) for name in names}


def _check_mutations(mutations: dict[str, Any]) -> None:
    for key, value in mutations.items():
        if isinstance(value, dict):
            _check_mutations(value)
        elif not isinstance(value, (list, tuple, Domain)) and not callable(value):
            raise ValueError(
                f"hyperparam_mutations: {key!r} must be a list, a domain such as tune.uniform(), a function or a "
                f"dictionary of these, not {type(value).__name__}"
            )


class PopulationBasedTrainingReplay(TrialScheduler):
    """One trial with the config changes that a trial of PopulationBasedTraining went through.

    policy_file: its `pbt_policy_ID.txt`. The trial begins with `config`, whatever else it is given. ValueError: the
    file is not there, or holds no policy.
    """

    def __init__(self, policy_file: str) -> None:
        path = os.path.expanduser(policy_file)
        if not os.path.exists(path):
            raise ValueError(f"there is no policy file {policy_file}")
        with open(path) as file:
            rows = [json.loads(line) for line in file if line.strip()]
        if not rows:
            raise ValueError(f"{policy_file} holds no policy")
        # The file may hold the trial's own older life before the one that it took over: followed from the end.
        self._policy: list[tuple[int, dict[str, Any]]] = []
        tag = rows[-1][0]
        for own, theirs, _, step, before, after in reversed(rows):
            if own != tag:
                break
            tag, self.config = theirs, before
            self._policy.insert(0, (step, after))
        self._next = 0
        self._trial_id: str | None = None

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        if self._trial_id not in (None, trial.trial_id):
            raise ValueError(
                "a policy is replayed by one trial, and this is a second: leave num_samples at 1"
            )
        if self._trial_id is None:
            trial.set_config({**trial.config, **self.config})
        self._trial_id = trial.trial_id

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if self._next == len(self._policy):
            return self.CONTINUE
        step, config = self._policy[self._next]
        if result.get(TRAINING_ITERATION, -1) < step:
            return self.CONTINUE
        self._next += 1
        trial.set_config({**trial.config, **config})
        trial.set_experiment_tag(f"replay_{self._next}")
        return self.PAUSE  # it saves itself, and goes on with the new config

    def choose_trial_to_run(self, controller: Any) -> Any:
        for waiting in (controller.pending_trials(), controller.paused_trials()):
            for trial in waiting:
                return trial if controller.has_resources_for_trial(trial) else None
        return None

    def debug_string(self) -> str:
        return f"PopulationBasedTraining replay: {self._next} of {len(self._policy)} changes"
