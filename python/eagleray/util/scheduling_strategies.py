"""Where tasks and actors run; values for `scheduling_strategy=`."""

from __future__ import annotations

from typing import Any


class PlacementGroupSchedulingStrategy:
    """In a placement group: its bundle of that index, or any (-1). With placement_group_capture_child_tasks,
    what runs there submits its own tasks and actors into the group, too. An index that the group does not
    have is a ValueError when it is used."""

    def __init__(
        self,
        placement_group: Any,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks


class NodeAffinitySchedulingStrategy:
    """On the node with that hexadecimal id; elsewhere, with `soft`, when it cannot."""

    def __init__(
        self,
        node_id: str,
        soft: bool,
        _spill_on_unavailable: bool = False,
        _fail_on_unavailable: bool = False,
    ) -> None:
        if not isinstance(node_id, str):
            node_id = node_id.hex()
        self.node_id = node_id
        self.soft = soft


class In:
    def __init__(self, *values: str) -> None:
        self.text = f"in({','.join(values)})"


class NotIn:
    def __init__(self, *values: str) -> None:
        self.text = f"!in({','.join(values)})"


class Exists:
    text = "exists()"


class DoesNotExist:
    text = "!exists()"


class NodeLabelSchedulingStrategy:
    """On nodes whose labels match `hard` (all must) and, where possible, `soft`."""

    def __init__(
        self, hard: dict[str, Any] | None = None, *, soft: dict[str, Any] | None = None
    ) -> None:
        self.hard = hard or {}
        self.soft = soft or {}

    def as_selector(self) -> dict[str, str]:
        return {key: condition.text for key, condition in self.hard.items()}
