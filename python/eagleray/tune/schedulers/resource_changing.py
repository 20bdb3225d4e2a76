"""Trials whose resources change while they run. Follows `ray.tune.schedulers.ResourceChangingScheduler`."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from ..execution.placement_groups import PlacementGroupFactory, resource_dict_to_pg_factory
from ..utils.flatten import lookup
from .trial_scheduler import FIFOScheduler, TrialScheduler

_logger = logging.getLogger("eagleray.tune")


class DistributeResources:
    """Shares all CPUs and GPUs of the cluster evenly among the trials that live; none gets less than at its start.

    add_bundles: more bundles like the last one, instead of a larger first bundle. increase_by: in steps of these
    resources, `{"CPU": 2}`. reserve_resources: what is left free, `{"CPU": 1}`. ValueError: a step of nothing.
    """

    def __init__(
        self,
        add_bundles: bool = False,
        increase_by: dict[str, float] | None = None,
        reserve_resources: dict[str, float] | None = None,
    ) -> None:
        if increase_by is not None and not any(increase_by.values()):
            raise ValueError("increase_by needs at least one resource, as {'CPU': 1}")
        self.add_bundles, self.increase_by = add_bundles, increase_by
        self.reserve_resources = dict(reserve_resources or {})

    def __call__(
        self, controller: Any, trial: Any, result: dict[str, Any], scheduler: Any
    ) -> PlacementGroupFactory | None:
        """What a trial should have now; None: what it has."""
        base = scheduler.base_trial_resources or PlacementGroupFactory([{"CPU": 1}])
        running = self.trials_to_share(controller, trial)
        if not running:
            return None
        total = controller.resources.total
        steps = self._steps(base)
        count = self.steps_of(trial, running, self._steps_in_all(total, base, steps, len(running)))
        wanted = self._grown(base, steps, count)
        return None if wanted == trial.placement_group_factory else wanted

    def trials_to_share(self, controller: Any, trial: Any) -> list[Any]:
        """Those between which the resources are shared, in the order of their rank."""
        return sorted(controller.get_live_trials(), key=lambda one: str(one.trial_id))

    def steps_of(self, trial: Any, ranked: list[Any], steps: int) -> int:
        """How many of the steps that are to be had are this trial's: the same for all, the rest to the first."""
        each, rest = divmod(steps, len(ranked))
        place = next((i for i, one in enumerate(ranked) if one is trial), len(ranked))
        return each + (place < rest)

    def _steps(self, base: PlacementGroupFactory) -> dict[str, float]:
        if self.increase_by is not None:
            return {name: amount for name, amount in self.increase_by.items() if amount}
        bundle = base.bundles[-1] if self.add_bundles else base.head_resources or base.bundles[0]
        return {name: bundle[name] for name in ("CPU", "GPU") if bundle.get(name)}

    def _steps_in_all(
        self,
        total: dict[str, float],
        base: PlacementGroupFactory,
        steps: dict[str, float],
        trials: int,
    ) -> int:
        """How often a step fits into what all trials together have not asked for at their start."""
        counts = []
        for name, amount in steps.items():
            asked = base.required_resources.get(name, 0.0) * trials
            free = total.get(name, 0.0) - self.reserve_resources.get(name, 0.0) - asked
            counts.append(max(0, math.floor(free / amount + 1e-9)))
        return min(counts, default=0)

    def _grown(
        self, base: PlacementGroupFactory, steps: dict[str, float], count: int
    ) -> PlacementGroupFactory:
        bundles: list[dict[str, Any]] = [dict(bundle) for bundle in base.bundles]
        if base.head_bundle_is_empty:
            bundles.insert(0, {})
        if self.add_bundles:
            bundles.extend(dict(steps) for _ in range(count))
        else:
            for name, amount in steps.items():
                bundles[0][name] = bundles[0].get(name, 0.0) + amount * count
        return PlacementGroupFactory(bundles, base.strategy)


class DistributeResourcesToTopJob(DistributeResources):
    """All that is free goes to the trial with the best last result; the others keep what they had at their start.

    metric, mode: what "best" means; the scheduler's, where nothing is said.
    """

    def __init__(
        self,
        add_bundles: bool = False,
        increase_by: dict[str, float] | None = None,
        reserve_resources: dict[str, float] | None = None,
        metric: str | None = None,
        mode: str | None = None,
    ) -> None:
        super().__init__(add_bundles, increase_by, reserve_resources)
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', not {mode!r}")
        self.metric, self.mode = metric, mode

    def __call__(
        self, controller: Any, trial: Any, result: dict[str, Any], scheduler: Any
    ) -> PlacementGroupFactory | None:
        self.metric = self.metric or scheduler.metric
        self.mode = self.mode or scheduler.mode
        if not self.metric or not self.mode:
            raise ValueError("DistributeResourcesToTopJob has no metric or no mode")
        self._now = (trial, result)
        return super().__call__(controller, trial, result, scheduler)

    def _score(self, trial: Any) -> float:
        now, result = self._now
        value = lookup(result if trial is now else trial.last_result, self.metric or "")
        if value is None or math.isnan(value):
            return -math.inf
        return float(value) if self.mode == "max" else -float(value)

    def trials_to_share(self, controller: Any, trial: Any) -> list[Any]:
        return sorted(controller.get_live_trials(), key=self._score, reverse=True)

    def steps_of(self, trial: Any, ranked: list[Any], steps: int) -> int:
        return steps if ranked[0] is trial else 0


_EVENLY = DistributeResources()


class ResourceChangingScheduler(TrialScheduler):
    """Another scheduler, and after each result the question whether a trial should have other resources.

    base_scheduler: FIFO if none is given. resources_allocation_function(controller, trial, result, scheduler): gives a
    PlacementGroupFactory or a dictionary, None leaves what the trial has. A trial that gets others saves itself, waits,
    and goes on with them: trainables must save and load themselves.
    """

    def __init__(
        self,
        base_scheduler: TrialScheduler | None = None,
        resources_allocation_function: Callable[..., Any] | None = _EVENLY,
    ) -> None:
        self._base = base_scheduler or FIFOScheduler()
        self._allocate = resources_allocation_function
        self._reallocate: dict[str, PlacementGroupFactory] = {}  # by trial id, until it starts
        self.base_trial_resources: PlacementGroupFactory | None = None

    @property
    def metric(self) -> str | None:
        return self._base.metric

    @property
    def mode(self) -> str | None:
        return getattr(self._base, "mode", None) or getattr(self, "_mode", None)

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        self._mode = mode
        return self._base.set_search_properties(metric, mode, **spec)

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        if self.base_trial_resources is None:
            self.base_trial_resources = trial.placement_group_factory
        self._base.on_trial_add(controller, trial)

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        self._base.on_trial_error(controller, trial)

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._base.on_trial_complete(controller, trial, result)

    def on_trial_gone(self, controller: Any, trial: Any) -> None:
        self._base.on_trial_gone(controller, trial)

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        self._base.on_trial_remove(controller, trial)

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = self._base.on_trial_result(controller, trial, result)
        if decision != self.CONTINUE or self._allocate is None:
            return decision
        wanted = self._allocate(controller, trial, result, self)
        if wanted is None:
            return decision
        factory = resource_dict_to_pg_factory(wanted)
        if factory == trial.placement_group_factory or not _fits(controller, trial, factory):
            return decision  # asked again with its next result
        self._reallocate[trial.trial_id] = factory
        return self.PAUSE

    def choose_trial_to_run(self, controller: Any) -> Any:
        for trial in list(controller.paused_trials()):
            factory = self._reallocate.get(trial.trial_id)
            if factory is None:
                continue
            before = trial.placement_group_factory
            trial.update_resources(factory)
            if controller.has_resources_for_trial(trial):
                _logger.info("%s goes on with %s", trial, factory.required_resources)
                del self._reallocate[trial.trial_id]
                return trial
            # What was to be free is not yet, or has gone to another: it goes on as it was, rather than wait.
            trial.update_resources(before)
            if controller.has_resources_for_trial(trial):
                del self._reallocate[trial.trial_id]
                return trial
        return self._base.choose_trial_to_run(controller)

    def debug_string(self) -> str:
        return f"(ResourceChangingScheduler) {self._base.debug_string()}"

    def get_state(self) -> dict[str, Any]:
        return {
            "base": self._base.get_state(),
            "reallocate": self._reallocate,
            "resources": self.base_trial_resources,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._base.set_state(state["base"])
        self._reallocate = state["reallocate"]
        self.base_trial_resources = state["resources"]


def _fits(controller: Any, trial: Any, factory: PlacementGroupFactory) -> bool:
    """Whether a running trial could go on with these resources in the place of its own."""
    total, used = controller.resources.total, controller.resources.used
    own = trial.placement_group_factory.required_resources
    return all(
        used.get(name, 0.0) - own.get(name, 0.0) + amount <= total.get(name, 0.0) + 1e-4
        for name, amount in factory.required_resources.items()
    )
