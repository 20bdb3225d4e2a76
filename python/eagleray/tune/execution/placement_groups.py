"""The resources of a trial: one bundle, or several that are reserved together."""

from __future__ import annotations

from typing import Any

from eagleray.util import placement_group
from eagleray.util.scheduling_strategies import PlacementGroupSchedulingStrategy


class PlacementGroupFactory:
    """What a trial needs, as bundles: the first is the trial's own, the others are for the tasks and actors it starts.

    bundles: `[{"CPU": 1}, {"CPU": 1, "GPU": 0.5}]`; the first may be empty. strategy: PACK, SPREAD, STRICT_PACK,
    STRICT_SPREAD. Follows `ray.tune.PlacementGroupFactory`.
    """

    def __init__(
        self, bundles: list[dict[str, Any]], strategy: str = "PACK", *args: Any, **kwargs: Any
    ) -> None:
        if not bundles:
            raise ValueError("a PlacementGroupFactory needs at least one bundle")
        for bundle in bundles:
            for name, amount in bundle.items():
                if amount < 0:
                    raise ValueError(f"bundle {bundle}: {name} must not be negative")
        self._head_is_empty = not any(bundles[0].values())
        self._bundles = [
            {name: float(amount) for name, amount in bundle.items() if amount} for bundle in bundles
        ]
        if len(self._bundles) > 1 and not all(self._bundles[1:]):
            raise ValueError("only the first bundle may be empty")
        self._strategy = strategy
        self._arguments = (args, kwargs)
        self._sum: dict[str, float] = {}
        for bundle in self._bundles:
            for name, amount in bundle.items():
                self._sum[name] = self._sum.get(name, 0.0) + amount
        self._hash = hash((str(self._bundles), strategy))

    @property
    def bundles(self) -> list[dict[str, float]]:
        """The bundles, without an empty first one."""
        return self._bundles[1:] if self._head_is_empty else self._bundles

    @property
    def head_bundle_is_empty(self) -> bool:
        return self._head_is_empty

    @property
    def head_cpus(self) -> float:
        """CPUs of the trial's own bundle."""
        return self._bundles[0].get("CPU", 0.0)

    @property
    def head_resources(self) -> dict[str, float]:
        return dict(self._bundles[0])

    @property
    def strategy(self) -> str:
        return self._strategy

    @property
    def required_resources(self) -> dict[str, float]:
        """The sum of the bundles."""
        return self._sum

    @property
    def needs_group(self) -> bool:
        """Whether more than the trial's own process has to be placed."""
        return len(self._bundles) > 1

    def __call__(self) -> Any:
        """A new placement group of these bundles."""
        args, kwargs = self._arguments
        return placement_group(self.bundles, self._strategy, *args, **kwargs)

    def options(self, group: Any) -> dict[str, Any]:
        """The options of the trial's actor, in the group, or by itself where it needs none (group None)."""
        head = self._bundles[0]
        options: dict[str, Any] = {
            "num_cpus": head.get("CPU", 0),
            "num_gpus": head.get("GPU", 0),
            "resources": {n: a for n, a in head.items() if n not in ("CPU", "GPU", "memory")},
        }
        if head.get("memory"):
            options["memory"] = int(head["memory"])
        if group is not None:
            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
                placement_group=group,
                placement_group_bundle_index=-1 if self._head_is_empty else 0,
                placement_group_capture_child_tasks=True,
            )
        return options

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, PlacementGroupFactory)
            and self._bundles == other._bundles
            and self._strategy == other._strategy
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"PlacementGroupFactory(bundles={self._bundles}, strategy={self._strategy!r})"


_ONE_CPU = PlacementGroupFactory([{"CPU": 1.0}])


def resource_dict_to_pg_factory(spec: Any) -> PlacementGroupFactory:
    """{"cpu": 2, "gpu": 1, "extra_cpu": 1, "memory": ..., "custom_resources": {...}} (or any resource's name) as a
    factory. ValueError for what is no such dict."""
    if spec is None:
        return _ONE_CPU
    if isinstance(spec, PlacementGroupFactory):
        return spec
    if hasattr(spec, "as_placement_group_factory"):  # ScalingConfig
        return spec.as_placement_group_factory()
    if not isinstance(spec, dict):
        raise ValueError(
            'resources must be a dict such as {"cpu": 1} or a PlacementGroupFactory, not '
            f"{type(spec).__name__}"
        )
    head: dict[str, float] = {}
    extra: dict[str, float] = {}
    names: dict[str, str] = {
        "cpu": "CPU",
        "gpu": "GPU",
        "object_store_memory": "object_store_memory",
    }
    name: str
    for name, amount in spec.items():
        if name in ("custom_resources", "extra_custom_resources"):
            (extra if name.startswith("extra") else head).update(amount or {})
        elif name.startswith("extra_"):
            extra_name = name.removeprefix("extra_")
            extra[names.get(extra_name, extra_name)] = amount
        else:
            head[names.get(name, name)] = amount
    head.setdefault(
        "CPU", 1.0 if not any(n in spec for n in ("cpu", "CPU")) and not head.get("GPU") else 0.0
    )
    bundles = [head]
    if any(extra.values()):
        bundles.append({name: amount for name, amount in extra.items() if amount})
    return PlacementGroupFactory(bundles)
