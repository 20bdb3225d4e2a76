"""CollectiveOutputNode: one actor's part of a collective operation."""

from __future__ import annotations

from typing import Any

from .class_node import ClassMethodNode
from .constants import COLLECTIVE_OPERATION_KEY, IS_CLASS_METHOD_OUTPUT_KEY
from .dag_node import DAGNode


class _CollectiveOperation:
    """What the nodes of one operation share: the operation and its actors, in the order of their ranks.

    inputs: lists of nodes, each with one node of each actor, in the same order. ValueError otherwise.
    """

    def __init__(self, inputs: list[list[Any]], op: Any, transport: Any = None) -> None:
        for number, nodes in enumerate(inputs):
            where = f" at index {number}" if len(inputs) > 1 else ""
            if not nodes:
                raise ValueError(f"Expected non-empty input list{where}.")
            if not all(isinstance(node, DAGNode) for node in nodes):
                raise ValueError(f"Expected all input nodes to be DAGNode{where}, but got {nodes}.")
            if len(set(nodes)) != len(nodes):
                raise ValueError(f"Expected unique input nodes{where}, but found duplicates.")
            handles = [node._get_actor_handle() for node in nodes]
            if None in handles:
                raise ValueError(f"Expected an actor handle from the input node{where}")
            if len(set(handles)) != len(handles):
                raise ValueError(f"Expected unique actor handles{where}, but found duplicates.")
            if number == 0:
                self.actor_handles = handles
            if len(handles) != len(self.actor_handles):
                raise ValueError("Expected all input lists to have the same number of nodes.")
            if set(handles) != set(self.actor_handles):
                raise ValueError("Expected all input lists to have the same set of actor handles.")
            if handles != self.actor_handles:
                raise ValueError(
                    "Expected all input lists to have the same order of actor handles."
                )
        self.op = op
        self.transport = transport


class CollectiveOutputNode(ClassMethodNode):
    """What one actor has after a collective operation of compiled graphs; see
    `ray.experimental.collective.allreduce.bind`."""

    def __init__(
        self,
        method_name: str,
        method_args: Any,
        method_kwargs: dict[str, Any],
        method_options: dict[str, Any],
        other_args_to_resolve: dict[str, Any],
    ) -> None:
        self._collective_op = other_args_to_resolve.get(COLLECTIVE_OPERATION_KEY)
        if self._collective_op is None and not other_args_to_resolve.get(
            IS_CLASS_METHOD_OUTPUT_KEY
        ):
            raise ValueError("Expected a collective operation")
        super().__init__(
            method_name, method_args, method_kwargs, method_options, other_args_to_resolve
        )

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            "CollectiveOutputNode is only supported with dag.experimental_compile()"
        )

    @property
    def collective_op(self) -> Any:
        """The operation; None for one of several values."""
        return self._collective_op
