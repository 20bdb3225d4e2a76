"""Searches with Optuna: its samplers, several objectives, spaces that are functions. Follows `OptunaSearch` of Ray."""

from __future__ import annotations

import math
from typing import Any

from ...result import TRAINING_ITERATION
from ...schedulers.trial_scheduler import FIFOScheduler
from ...utils.flatten import lookup
from ..sample import Categorical, Domain, Float, Function, Integer
from ..space_searcher import SpaceSearcher, name_of, need, refuse_grids, rounded, shape_of
from ..variant_generator import copy_config, generate_variants, set_path, unresolved

_PLAIN = (str, int, float, bool, type(None))


class OptunaSearch(SpaceSearcher):
    """Suggests what an Optuna study asks for.

    space: the space language of tune (also nested, and choices between spaces: what a choice has not taken is not
    asked for), a dictionary of Optuna's distributions by name, or a function `f(trial)` that calls trial.suggest_...()
    and may give a dictionary of constants; None: tune.run(config=...). metric, mode: lists for several objectives.
    points_to_evaluate: come first; evaluated_rewards: their values, where they are known, so that they do not run.
    sampler: an Optuna sampler, TPESampler(seed=seed) by default. study_name, storage: where the study is kept, in
    memory by default. pruner: Optuna's; with the scheduler OptunaPruning it stops trials. ImportError: no optuna.
    """

    def __init__(
        self,
        space: Any = None,
        metric: Any = None,
        mode: Any = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        sampler: Any = None,
        study_name: str | None = None,
        storage: Any = None,
        seed: int | None = None,
        evaluated_rewards: list[Any] | None = None,
        pruner: Any = None,
    ) -> None:
        optuna = need("optuna", "optuna", "OptunaSearch")
        super().__init__(space, metric, mode, points_to_evaluate)
        if isinstance(mode, (list, tuple)) != isinstance(metric, (list, tuple)) or (
            isinstance(mode, (list, tuple)) and len(mode) != len(metric)
        ):
            raise ValueError("several metrics need as many modes, both as lists")
        if evaluated_rewards is not None and len(evaluated_rewards) != len(self._points):
            raise ValueError("evaluated_rewards needs one value for each of points_to_evaluate")
        if evaluated_rewards and callable(space):
            raise ValueError(
                "evaluated_rewards needs a space that is a dictionary: what a function would ask for is not known"
            )
        if sampler is not None and seed is not None:
            raise ValueError("give the seed to the sampler: type(sampler)(seed=...)")
        self._rewards = evaluated_rewards
        self._sampler = sampler or optuna.samplers.TPESampler(seed=seed)
        self._pruner = pruner
        self._study_name, self._storage = study_name, storage
        self._study: Any = None
        self._asked: dict[str, Any] = {}  # Optuna's trials by ours
        self._steps: dict[str, int] = {}  # of the last intermediate value, by trial

    def set_search_properties(
        self, metric: Any, mode: Any, config: dict[str, Any], **spec: Any
    ) -> bool:
        if isinstance(self._metric, (list, tuple)):
            metric = mode = None  # the experiment has one, to say which trial is best
        return super().set_search_properties(metric, mode, config, **spec)

    def is_searchable(self) -> bool:
        return True  # a study without settings is possible, if dull

    @property
    def _metrics(self) -> list[str]:
        return list(self._metric) if isinstance(self._metric, (list, tuple)) else [self._metric]

    def _begin(self) -> None:
        import optuna

        modes = self._mode if isinstance(self._mode, (list, tuple)) else [self._mode]
        self._study = optuna.create_study(
            storage=self._storage,
            sampler=self._sampler,
            pruner=self._pruner or optuna.pruners.NopPruner(),
            study_name=self._study_name or (None if self._storage is None else "optuna"),
            directions=["minimize" if one == "min" else "maximize" for one in modes],
            load_if_exists=True,
        )
        for index, point in enumerate(self._points):
            if self._rewards is None:
                self._study.enqueue_trial(self._point(point))
            else:
                self._add(point, self._rewards[index])

    def _point(self, config: dict[str, Any]) -> dict[str, Any]:
        """A config as a study has it: by name, choices between dictionaries by their number."""
        if not isinstance(self._space, dict) or self._is_native():
            return config
        values = self.values_in(config)
        for name, (_, domain) in self.domains().items():
            if name in values and isinstance(domain, Categorical) and not _plain(domain):
                values[name] = domain.categories.index(values[name])
        return values

    def _is_native(self) -> bool:
        from optuna.distributions import BaseDistribution

        return isinstance(self._space, dict) and any(
            isinstance(value, BaseDistribution) for value in self._space.values()
        )

    # Suggestions.

    def suggest(self, trial_id: str) -> Any:
        self.begin()
        trial = self._asked[trial_id] = self._study.ask()
        if not isinstance(self._space, dict):
            constants = self._space(trial) or {}
            if not isinstance(constants, dict):
                raise TypeError(
                    "a function as a space gives nothing or a dictionary of constants, not "
                    f"{type(constants).__name__}"
                )
            return nested({**trial.params, **constants})
        if self._is_native():
            return {
                name: trial._suggest(name, value) if hasattr(value, "_contains") else value
                for name, value in self._space.items()
            }
        open_keys = {path[0] for path, _ in unresolved(self._space)}
        part = {k: v for k, v in self._space.items() if self._own_space or k in open_keys}
        return _resolve(trial, copy_config(part), ())

    # What became of it.

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Reports an intermediate value, for pruners and samplers that look at them."""
        trial = self._asked.get(trial_id)
        if trial is None or len(self._metrics) > 1:
            return
        value, step = self.score_of(result), int(result.get(TRAINING_ITERATION, 0))
        if value is not None and self._steps.get(trial_id) != step:  # OptunaPruning comes first
            self._steps[trial_id] = step
            trial.report(value, step)

    def should_prune(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the study's pruner would end the trial after this result."""
        trial = self._asked.get(trial_id)
        if trial is None or len(self._metrics) > 1:
            return False
        self.on_trial_result(trial_id, result)
        return bool(trial.should_prune())

    def _tell(self, trial_id: str, result: dict[str, Any] | None) -> None:
        from optuna.trial import TrialState

        trial = self._asked.pop(trial_id, None)
        self._steps.pop(trial_id, None)
        if trial is None:
            return
        values = [lookup(result, name) if result else None for name in self._metrics]
        if any(value is None or math.isnan(value) for value in values):
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, [float(value) for value in values if value is not None])

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: Any,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        self.begin()
        self._add(parameters, value, error, pruned, intermediate_values)

    def _add(
        self,
        config: dict[str, Any],
        value: Any,
        error: bool = False,
        pruned: bool = False,
        intermediate: list[float] | None = None,
    ) -> None:
        import optuna
        from optuna.trial import TrialState

        if not isinstance(self._space, dict):
            raise NotImplementedError(
                "a space that is a function takes no points that were evaluated elsewhere"
            )
        known = dict(self._space) if self._is_native() else self.convert_search_space(self._space)
        values = self._point(config)
        known = {name: one for name, one in known.items() if name in values}
        state = TrialState.FAIL if error else TrialState.PRUNED if pruned else TrialState.COMPLETE
        made = optuna.trial.create_trial(
            state=state,
            values=None
            if error
            else list(value)
            if isinstance(value, (list, tuple))
            else [float(value)],
            params={name: values[name] for name in known},
            distributions=known,
            intermediate_values=dict(enumerate(intermediate or [])),
        )
        self._study.add_trial(made)

    @staticmethod
    def convert_search_space(spec: dict[str, Any], join: bool = False) -> dict[str, Any]:
        """The space as Optuna's distributions, by name; join: with what is fixed. ValueError: a grid, or something
        that Optuna has not (a normal one)."""
        refuse_grids(spec, "OptunaSearch")
        found: dict[str, Any] = {
            name_of(path): distribution(domain, name_of(path))
            for path, domain in unresolved(spec)
            if not isinstance(domain, Function)
        }
        return {**{k: v for k, v in spec.items() if k not in found}, **found} if join else found

    def get_state(self) -> dict[str, Any]:
        names = ("_study", "_asked", "_begun", "_sampler")
        return {name: getattr(self, name) for name in names}


def _plain(domain: Categorical) -> bool:
    return all(isinstance(value, _PLAIN) for value in domain.categories)


def distribution(domain: Any, name: str = "") -> Any:
    """A domain as one of Optuna's distributions; choices between what is no number and no string by their place."""
    from optuna import distributions as kinds

    if isinstance(domain, Categorical):
        return kinds.CategoricalDistribution(
            domain.categories if _plain(domain) else list(range(len(domain)))
        )
    log, q, normal = shape_of(domain)
    if normal is not None or not isinstance(domain, (Float, Integer)):
        raise ValueError(f"Optuna has nothing like {domain} ({name}): bounds are needed")
    step = None if log else q  # Optuna has no rounded logarithms: the value is rounded afterwards
    if isinstance(domain, Integer):
        high = int(domain.upper) if q else max(int(domain.upper) - 1, int(domain.lower))
        return kinds.IntDistribution(int(domain.lower), high, log=log, step=int(step or 1))
    return kinds.FloatDistribution(domain.lower, domain.upper, log=log, step=step)


def of_distribution(one: Any) -> Domain:
    """One of Optuna's distributions as a domain."""
    from optuna import distributions as kinds

    if isinstance(one, kinds.CategoricalDistribution):
        return Categorical(one.choices).uniform()
    if isinstance(one, kinds.IntDistribution):
        whole = Integer(one.low, one.high if one.step > 1 else one.high + 1)
        whole = whole.loguniform() if one.log else whole.uniform()
        return whole.quantized(one.step) if one.step > 1 else whole
    number = Float(one.low, one.high)
    number = number.loguniform() if one.log else number.uniform()
    return number.quantized(one.step) if one.step else number


def _resolve(trial: Any, made: Any, path: tuple[Any, ...]) -> Any:
    """The config with everything asked for; a choice that is a space itself is asked for in turn."""
    for inner, domain in list(unresolved(made)):
        if isinstance(domain, Function):
            continue
        where = (*path, *inner)
        value = trial._suggest(name_of(where), distribution(domain, name_of(where)))
        if isinstance(domain, Categorical):
            if not _plain(domain):
                value = _resolve(trial, copy_config(domain.categories[value]), (*where, value))
        else:
            value = domain.cast(rounded(domain, value))
        made = set_path(made, inner, value)
    # What is left are functions of what has been chosen.
    return next(generate_variants(made))[1] if any(True for _ in unresolved(made)) else made


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """What a function has asked for, nested where its names have slashes."""
    from ...utils.flatten import unflatten_dict

    return unflatten_dict(flat)


class OptunaPruning(FIFOScheduler):
    """Stops the trials that the pruner of OptunaSearch(pruner=...) would. Not in Ray, which reports intermediate
    values to Optuna and asks no pruner."""

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        searcher = controller.search_alg
        while not isinstance(searcher, OptunaSearch):
            searcher = getattr(searcher, "searcher", None)
            if searcher is None:
                raise ValueError("OptunaPruning needs search_alg=OptunaSearch(pruner=...)")
        return self.STOP if searcher.should_prune(trial.trial_id, result) else self.CONTINUE
