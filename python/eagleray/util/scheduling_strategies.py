"""Where tasks and actors run; values for `scheduling_strategy=`."""

from __future__ import annotations

from typing import Any

from .._ids import NodeID


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
    """On the node with that hexadecimal id; with `soft` elsewhere when it cannot be there, without it
    TaskUnschedulableError or ActorUnschedulableError. ValueError for what is no node id."""

    def __init__(
        self,
        node_id: str,
        soft: bool,
        _spill_on_unavailable: bool = False,
        _fail_on_unavailable: bool = False,
    ) -> None:
        if not isinstance(node_id, str):
            node_id = node_id.hex()
        try:
            whole = len(bytes.fromhex(node_id)) == NodeID.SIZE
        except ValueError:
            whole = False
        if not whole:
            raise ValueError(
                f"Invalid node_id '{node_id}'. Node ID must be a valid hex string. To get a list of all nodes and "
                "their IDs in your cluster, use ray.nodes()."
            )
        if _spill_on_unavailable and not soft:
            raise ValueError("_spill_on_unavailable cannot be set when soft is False.")
        if _fail_on_unavailable and soft:
            raise ValueError("_fail_on_unavailable cannot be set when soft is True.")
        self.node_id = node_id
        self.soft = soft
        self._spill_on_unavailable = _spill_on_unavailable
        self._fail_on_unavailable = _fail_on_unavailable


def _values_of(name: str, values: tuple[Any, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError(
            f"The variadic parameter of the {name} operator must be a non-empty tuple: e.g. "
            f'{name}("value1", "value2").'
        )
    for i, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(
                f"Type of value in position {i} for the {name} operator must be str (e.g. "
                f'{name}("value1", "value2")) but got {value} of type {type(value)}.'
            )
    return values


class In:
    """The label has one of these values."""

    def __init__(self, *values: str) -> None:
        self.text = f"in({','.join(_values_of('In', values))})"


class NotIn:
    """The label has none of these values, or is not there."""

    def __init__(self, *values: str) -> None:
        self.text = f"!in({','.join(_values_of('NotIn', values))})"


class Exists:
    """The label is there."""

    text = "exists()"


class DoesNotExist:
    """The label is not there."""

    text = "!exists()"


def _checked(conditions: Any, name: str) -> dict[str, Any]:
    if conditions is None:
        return {}
    if not isinstance(conditions, dict):
        raise ValueError(
            f'The {name} parameter must be a map (e.g. {{"key1": In("value1")}}) but got type {type(conditions)}.'
        )
    for key, condition in conditions.items():
        if not isinstance(key, str):
            raise ValueError(
                f"The map key of the {name} parameter must be of type str (e.g. "
                f'{{"key1": In("value1")}}) but got {key} of type {type(key)}.'
            )
        if not isinstance(condition, (In, NotIn, Exists, DoesNotExist)):
            raise ValueError(
                f"The map value for key {key} of the {name} parameter must be one of the `In`, `NotIn`, `Exists` "
                f'or `DoesNotExist` operator (e.g. {{"key1": In("value1")}}) but got {condition} of type '
                f"{type(condition)}."
            )
    return conditions


class NodeLabelSchedulingStrategy:
    """On nodes whose labels match `hard` (all must) and, where possible, `soft`. ValueError for malformed
    conditions."""

    def __init__(
        self, hard: dict[str, Any] | None = None, *, soft: dict[str, Any] | None = None
    ) -> None:
        self.hard = _checked(hard, "hard")
        self.soft = _checked(soft, "soft")
        if not self.hard and not self.soft:
            raise ValueError(
                "The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be empty."
            )


STRATEGIES = (
    PlacementGroupSchedulingStrategy,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
)
