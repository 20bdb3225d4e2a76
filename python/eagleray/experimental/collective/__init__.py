"""Collective operations between the actors of a compiled graph: `allreduce.bind(nodes)` and its like give one node
for each of `nodes`, on the same actors. On the CPU they go through shared memory (docs/user/graphs.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import _planned
from ...dag.class_node import ClassMethodNode
from ...dag.collective_node import CollectiveOutputNode, _CollectiveOperation
from ...dag.constants import (
    BIND_INDEX_KEY,
    COLLECTIVE_OPERATION_KEY,
    IS_CLASS_METHOD_OUTPUT_KEY,
    PARENT_CLASS_NODE_KEY,
)
from ..util.types import AllGatherOp, AllReduceOp, ReduceOp, ReduceScatterOp

if TYPE_CHECKING:
    from .collective import (
        create_collective_group,
        destroy_all_collective_groups,
        destroy_collective_group,
        get_collective_groups,
    )

__all__ = [
    "allgather",
    "allreduce",
    "create_collective_group",
    "destroy_all_collective_groups",
    "destroy_collective_group",
    "get_collective_groups",
    "reducescatter",
]


def _bind(inputs: list[Any], op: Any, transport: Any) -> list[Any]:
    if not inputs:
        raise ValueError("Expected non-empty input list.")
    if isinstance(inputs[0], list) and not isinstance(op, AllReduceOp):
        raise ValueError(
            "Currently binding a nested list of dag nodes is only supported for allreduce"
        )
    lists = inputs if isinstance(inputs[0], list) else [inputs]
    shared = _CollectiveOperation(lists, op, transport)
    name = op.name + (f".{op.reduceOp}" if op.reduceOp is not None else "")
    return [
        _output(name, shared, actor, [nodes[rank] for nodes in lists])
        for rank, actor in enumerate(shared.actor_handles)
    ]


def _output(name: str, shared: Any, actor: Any, nodes: list[ClassMethodNode]) -> Any:
    index = actor.__dict__.get("_ray_dag_bind_index", 0)
    actor.__dict__["_ray_dag_bind_index"] = index + 1
    made = CollectiveOutputNode(
        name,
        tuple(nodes),
        {},
        {"num_returns": len(nodes)} if len(nodes) > 1 else {},
        {
            PARENT_CLASS_NODE_KEY: actor,
            BIND_INDEX_KEY: index,
            COLLECTIVE_OPERATION_KEY: shared,
        },
    )
    if len(nodes) == 1:
        return made
    return [
        CollectiveOutputNode(
            f"return_idx_{i}",
            (made, i),
            {},
            {},
            {IS_CLASS_METHOD_OUTPUT_KEY: True, PARENT_CLASS_NODE_KEY: actor},
        )
        for i in range(len(nodes))
    ]


def _check_reduction(op: Any) -> None:
    if not isinstance(op, ReduceOp):
        raise ValueError(f"Unexpected operation: {op}")


class _AllGather:
    """All actors have the tensors of all, one behind the other along the first dimension."""

    def bind(self, input_nodes: list[Any], transport: Any = None) -> list[Any]:
        return _bind(input_nodes, AllGatherOp(), transport)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from ...util.collective import collective

        return collective.allgather(*args, **kwargs)


class _AllReduce:
    """All actors have the reduction of all tensors; lists of nodes are reduced list by list."""

    def bind(
        self, input_nodes: list[Any], op: ReduceOp = ReduceOp.SUM, transport: Any = None
    ) -> list[Any]:
        _check_reduction(op)
        return _bind(input_nodes, AllReduceOp(op), transport)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from ...util.collective import collective

        return collective.allreduce(*args, **kwargs)


class _ReduceScatter:
    """Each actor has its part, along the first dimension, of the reduction of all tensors."""

    def bind(
        self, input_nodes: list[Any], op: ReduceOp = ReduceOp.SUM, transport: Any = None
    ) -> list[Any]:
        _check_reduction(op)
        return _bind(input_nodes, ReduceScatterOp(op), transport)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from ...util.collective import collective

        return collective.reducescatter(*args, **kwargs)


allgather = _AllGather()
allreduce = _AllReduce()
reducescatter = _ReduceScatter()

_GROUPS = (
    "create_collective_group",
    "destroy_all_collective_groups",
    "destroy_collective_group",
    "get_collective_groups",
)
__getattr__ = _planned.lazily(__name__, dict.fromkeys(_GROUPS, ".collective"))
