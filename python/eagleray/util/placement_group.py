"""Placement groups: bundles of resources that are reserved all together or not at all."""

from __future__ import annotations

from typing import Any

from .._ids import NodeID, PlacementGroupID
from .._options import RESOURCE_UNIT, check_selector
from .._state import client, state
from ..exceptions import RaySystemError

_STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")


class PlacementGroup:
    """A reservation. `ready()` is a reference that is ready when it is made, `wait(seconds)` waits."""

    def __init__(
        self, group_id: PlacementGroupID, bundles: list[dict[str, float]] | None = None
    ) -> None:
        self.id = group_id
        self._bundles = bundles
        self._pending: Any = None  # what ready() gave, until it is ready

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """What each bundle reserves."""
        if self._bundles is None:  # known by its id only
            rows = client().group_table(self.id.hex(), "")
            self._bundles = _bundles_of(rows[0]) if rows else []
        return self._bundles

    @property
    def bundle_count(self) -> int:
        return len(self.bundle_specs)

    def ready(self) -> Any:
        """A reference whose value is this group, ready when the reservation is made. As in Ray, except that
        calls before that give the same one: a loop that polls leaves one task, not one a call."""
        import eagleray as ray

        if self._pending is not None and not ray.wait([self._pending], timeout=0)[0]:
            return self._pending

        from .scheduling_strategies import PlacementGroupSchedulingStrategy

        group = self

        def is_ready() -> PlacementGroup:
            return group

        self._pending = (
            ray.remote(is_ready)
            .options(num_cpus=0, scheduling_strategy=PlacementGroupSchedulingStrategy(self))
            .remote()
        )
        return self._pending

    def wait(self, timeout_seconds: float = 30) -> bool:
        """True when the reservation is made within the time. RaySystemError when the group has been removed."""
        state = client().wait_group(self.id.hex(), max(0, timeout_seconds))
        if state == "REMOVED":
            raise RaySystemError(f"Placement group {self.id!r} does not exist.")
        return state == "CREATED"

    def __reduce__(self) -> Any:
        return (PlacementGroup, (self.id, self._bundles))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


def placement_group(
    bundles: list[dict[str, float]],
    strategy: str = "PACK",
    name: str = "",
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
) -> PlacementGroup:
    """Asks for a group and returns at once.

    bundles: resource name to amount, each not empty. strategy: PACK, SPREAD, STRICT_PACK (one node),
    STRICT_SPREAD (a node each). lifetime: "detached" outlives the job. bundle_label_selector: what the labels
    of each bundle's node must show. ValueError for bad arguments, RaySystemError when the name is taken.
    """
    if not isinstance(bundles, list):
        raise ValueError(f"Placement group bundles must be a list, got {type(bundles)}.")
    if not bundles:
        raise ValueError("Bundles must be a non-empty list of resource dictionaries.")
    for bundle in bundles:
        if not isinstance(bundle, dict) or not bundle or all(v == 0 for v in bundle.values()):
            raise ValueError(
                f"Bundles cannot be an empty dictionary or resources with only 0 values. Bundles: {bundles}"
            )
        if not all(isinstance(v, (int, float)) for v in bundle.values()):
            raise ValueError(f"Amounts in a bundle must be numbers: {bundle}")
        if any(v < 0 for v in bundle.values()):
            raise ValueError(f"Amounts in a bundle cannot be negative: {bundle}")
    if strategy not in _STRATEGIES:
        raise ValueError(f"Invalid strategy type {strategy}, choose one of {_STRATEGIES}.")
    if lifetime not in (None, "detached"):
        raise ValueError("Placement group `lifetime` argument must be either `None` or 'detached'.")
    target = _check_target(_soft_target_node_id, strategy)
    _check_selectors(bundle_label_selector, bundles)
    amounts = [{k: round(v * RESOURCE_UNIT) for k, v in b.items()} for b in bundles]
    try:
        group = client().create_group(
            amounts,
            strategy,
            name or "",
            lifetime == "detached",
            bundle_label_selector or [],
            target,
        )
    except ValueError as error:  # of control: the name is taken
        raise RaySystemError(str(error)) from None
    return PlacementGroup(PlacementGroupID.from_hex(group), bundles)


def _check_target(node_id: Any, strategy: str) -> str:
    if not node_id:
        return ""
    if strategy != "STRICT_PACK":
        raise ValueError(
            f"_soft_target_node_id currently only works with STRICT_PACK but got {strategy}"
        )
    try:
        whole = len(bytes.fromhex(node_id)) == NodeID.SIZE
    except ValueError:
        whole = False
    if not whole:
        raise ValueError(f"Invalid hex ID of _soft_target_node_id, got {node_id}")
    return str(node_id)


def _check_selectors(selectors: Any, bundles: list[dict[str, float]]) -> None:
    if selectors is None:
        return
    if not isinstance(selectors, list):
        raise ValueError(
            f"Placement group bundle_label_selector must be a list, got {type(selectors)}."
        )
    if selectors and len(selectors) != len(bundles):
        raise ValueError(
            f"Invalid bundle label selector {selectors}. The length of `bundle_label_selector` should equal the "
            "length of `bundles`."
        )
    for each in selectors:
        if not isinstance(each, dict):
            raise ValueError(
                "Bundle label selector must be a list of string dictionary label selectors. For example: "
                '`[{ray.io/market_type": "spot"}, {"ray.io/accelerator-type": "A100"}]`.'
            )
        check_selector("bundle_label_selector", each)


def _bundles_of(row: dict[str, Any]) -> list[dict[str, float]]:
    return [{k: v / RESOURCE_UNIT for k, v in b.items()} for b in row["bundles"]]


def remove_placement_group(placement_group: PlacementGroup) -> None:
    """Gives the resources back and ends the tasks and actors inside."""
    if not isinstance(placement_group, PlacementGroup):
        raise TypeError(
            f"remove_placement_group() expects a PlacementGroup, not {placement_group!r}"
        )
    client().remove_group(placement_group.id.hex())


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """The group of that name. ValueError when there is none."""
    if not placement_group_name:
        raise ValueError("Please supply a non-empty value to get_placement_group")
    rows = client().group_table("", placement_group_name)
    if not rows:
        raise ValueError(f"Failed to look up placement group with name: {placement_group_name}")
    return PlacementGroup(PlacementGroupID.from_hex(rows[0]["group"]), _bundles_of(rows[0]))


def placement_group_table(placement_group: PlacementGroup | None = None) -> dict[str, Any]:
    """Facts about one group, or about all by id. In `stats` of one that no node can ever hold stands `why`, which
    Ray has not."""
    rows = client().group_table(placement_group.id.hex() if placement_group else "", "")
    table = {row["group"]: _row(row) for row in rows}
    if placement_group is None:
        return table
    return table.get(placement_group.id.hex(), {"state": "REMOVED"})


def _row(row: dict[str, Any]) -> dict[str, Any]:
    state = row["state"]
    placed = any(c != "0" for c in "".join(row["nodes"]))
    stats = {"scheduling_state": {"CREATED": "FINISHED", "PENDING": "QUEUED"}.get(state, state)}
    if state == "INFEASIBLE":
        stats["why"] = f"no node can ever hold it: {row['why_never']}"
    return {
        "placement_group_id": row["group"],
        "name": row["name"],
        "bundles": dict(enumerate(_bundles_of(row))),
        "bundles_to_node_id": {i: n if placed else "" for i, n in enumerate(row["nodes"])},
        "strategy": row["strategy"],
        "state": "PENDING" if state == "INFEASIBLE" else state,
        "stats": stats,
    }


def get_current_placement_group() -> PlacementGroup | None:
    """The group that the calling task or actor runs in; None outside of one."""
    client()
    frame = state.local_mode and state.local_mode.current()
    group = frame.group if frame else state.group
    return PlacementGroup(PlacementGroupID.from_hex(group)) if group else None
