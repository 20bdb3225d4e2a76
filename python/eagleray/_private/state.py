"""What a cluster has, as packages ask Ray's inside for it."""

from __future__ import annotations

from typing import Any

from .._api import available_resources, cluster_resources, nodes, timeline
from .._ids import PlacementGroupID
from ..util.placement_group import PlacementGroup
from ..util.placement_group import placement_group_table as _table


def total_resources_per_node() -> dict[str, dict[str, float]]:
    """What each node that lives offers, by its id."""
    return {node["NodeID"]: node["Resources"] for node in nodes() if node["Alive"]}


def available_resources_per_node() -> dict[str, dict[str, float]]:
    """What is free of it right now."""
    return {node: available_resources() for node in total_resources_per_node()}  # there is one


class GlobalState:
    """The same as methods."""

    available_resources = staticmethod(available_resources)
    available_resources_per_node = staticmethod(available_resources_per_node)
    cluster_resources = staticmethod(cluster_resources)
    node_table = staticmethod(nodes)
    total_resources_per_node = staticmethod(total_resources_per_node)

    @staticmethod
    def placement_group_table(
        placement_group_id: PlacementGroupID | None = None,
    ) -> dict[str, Any]:
        """Facts about one group, or about all by id."""
        if placement_group_id is None:
            return _table()
        return _table(PlacementGroup(placement_group_id))


state = GlobalState()

__all__ = [
    "GlobalState",
    "available_resources",
    "available_resources_per_node",
    "cluster_resources",
    "nodes",
    "state",
    "timeline",
    "total_resources_per_node",
]
