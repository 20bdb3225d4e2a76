"""Which trials go on. Follows `ray.tune.schedulers`."""

from __future__ import annotations

import importlib
from typing import Any

from .trial_scheduler import TrialScheduler

# name of the class: module, names that create_scheduler() knows it by
_SCHEDULERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "FIFOScheduler": (".trial_scheduler", ("fifo",)),
    "AsyncHyperBandScheduler": (".async_hyperband", ("async_hyperband", "asynchyperband", "asha")),
    "ASHAScheduler": (".async_hyperband", ()),
    "HyperBandScheduler": (".hyperband", ("hyperband",)),
    "HyperBandForBOHB": (".hb_bohb", ("hb_bohb",)),
    "MedianStoppingRule": (".median_stopping", ("median_stopping_rule", "medianstopping")),
    "PopulationBasedTraining": (".pbt", ("pbt",)),
    "PopulationBasedTrainingReplay": (".pbt", ("pbt_replay",)),
    "PB2": (".pb2", ("pb2",)),
    "ResourceChangingScheduler": (".resource_changing", ("resource_changing",)),
    "DistributeResources": (".resource_changing", ()),
    "DistributeResourcesToTopJob": (".resource_changing", ()),
}

__all__ = ["TrialScheduler", "create_scheduler", *_SCHEDULERS]  # pyright: ignore


def create_scheduler(scheduler: str, **options: Any) -> TrialScheduler:
    """A scheduler by its name ("async_hyperband", "pbt"...). ValueError: there is none; with those there are."""
    for name, (_, short) in _SCHEDULERS.items():
        if scheduler in short:
            made: TrialScheduler = __getattr__(name)(**options)
            return made
    known = ", ".join(sorted(one for _, short in _SCHEDULERS.values() for one in short))
    raise ValueError(f"no scheduler is called {scheduler!r}; there are {known}")


def __getattr__(name: str) -> Any:
    if name in _SCHEDULERS:
        return getattr(importlib.import_module(_SCHEDULERS[name][0], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
