"""Which trials fit beside each other: logical resources of the cluster, less those of running trials."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import eagleray as ray

from ..experiment.trial import Trial
from .placement_groups import PlacementGroupFactory

_logger = logging.getLogger("eagleray.tune")
REFRESH_SECONDS = 1.0
EXPLAIN_SECONDS = 60.0
UNIT = 1e-4  # the smallest amount of a resource


class Resources:
    """Counts. total: gives the cluster's resources, `ray.cluster_resources` if nothing else is said."""

    def __init__(self, total: Callable[[], dict[str, float]] | None = None) -> None:
        self._ask = total or ray.cluster_resources
        self._total = self._ask()
        self._asked_at = time.monotonic()
        self.used: dict[str, float] = {}
        self._explained_at: dict[str, float] = {}

    @property
    def total(self) -> dict[str, float]:
        if time.monotonic() - self._asked_at > REFRESH_SECONDS:
            self._total, self._asked_at = self._ask(), time.monotonic()
        return self._total

    def fits(self, factory: PlacementGroupFactory) -> bool:
        total = self.total
        return all(
            self.used.get(name, 0.0) + amount <= total.get(name, 0.0) + UNIT
            for name, amount in factory.required_resources.items()
        )

    @property
    def starts_max(self) -> int:
        """How many trials may wait for their processes at a time."""
        return max(16, int(1.1 * self.total.get("CPU", 0)))

    def take(self, trial: Trial) -> None:
        for name, amount in trial.placement_group_factory.required_resources.items():
            self.used[name] = self.used.get(name, 0.0) + amount

    def give_back(self, trial: Trial) -> None:
        for name, amount in trial.placement_group_factory.required_resources.items():
            self.used[name] = max(0.0, self.used.get(name, 0.0) - amount)

    def missing(self, factory: PlacementGroupFactory) -> dict[str, tuple[float, float]]:
        """What the whole cluster has not: name: (asked, there is)."""
        total = self.total
        return {
            name: (amount, total.get(name, 0.0))
            for name, amount in factory.required_resources.items()
            if amount > total.get(name, 0.0) + UNIT
        }

    def explain(self, trial: Trial) -> str:
        """Why a trial that waits can never run on this cluster; said once a minute. "" where it can."""
        missing = self.missing(trial.placement_group_factory)
        if not missing:
            return ""
        what = ", ".join(
            f"{asked:g} {name} (there are {there:g})" for name, (asked, there) in missing.items()
        )
        why = (
            f"{trial} cannot be placed: it asks for {what}. Ask for less (num_workers, resources_per_trial, "
            "tune.with_resources), or start eagleray with more: init(num_cpus=...)"
        )
        now = time.monotonic()
        if now - self._explained_at.get(trial.trial_id, -EXPLAIN_SECONDS) >= EXPLAIN_SECONDS:
            self._explained_at[trial.trial_id] = now
            _logger.warning("%s", why)
        return why

    def summary(self) -> str:
        """`Resources requested: 4.0/4 CPUs, 0/0 GPUs`, as the status block has it."""
        total = self.total
        cpus = f"{self.used.get('CPU', 0.0):.1f}/{total.get('CPU', 0):g} CPUs"
        gpus = f"{self.used.get('GPU', 0):g}/{total.get('GPU', 0):g} GPUs"
        other = [
            f"{self.used[name]:g}/{total.get(name, 0):g} {name}"
            for name in sorted(self.used)
            if name not in ("CPU", "GPU", "memory", "object_store_memory") and self.used[name]
        ]
        heap = total.get("memory", 0.0) / 2**30
        objects = total.get("object_store_memory", 0.0) / 2**30
        asked = self.used.get("memory", 0.0) / 2**30
        return (
            f"Resources requested: {cpus}, {gpus}, {asked:.1f}/{heap:.1f} GiB heap, 0.0/{objects:.1f} GiB objects"
            + "".join(f", {one}" for one in other)
        )


def resources_of(trainable: Any, config: dict[str, Any], asked: Any) -> PlacementGroupFactory:
    """What a trial needs: what tune.run() was told, else what the trainable asks for, else one CPU."""
    from .placement_groups import resource_dict_to_pg_factory

    if callable(asked) and not isinstance(asked, PlacementGroupFactory):
        asked = asked(config)
    return resource_dict_to_pg_factory(
        asked if asked is not None else trainable.default_resource_request(config)
    )
