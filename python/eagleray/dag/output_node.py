"""MultiOutputNode: several results of one graph."""

from __future__ import annotations

from typing import Any

from .dag_node import DAGNode


class MultiOutputNode(DAGNode):
    """Nodes whose results execute() gives as a list. TypeError-like input is a ValueError, as in Ray."""

    def __init__(
        self,
        args: Any,
        other_args_to_resolve: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(args, tuple):
            args = list(args)
        if not isinstance(args, list):
            raise ValueError(f"Invalid input type for `args`, {type(args)}.")
        super().__init__(args, {}, {}, other_args_to_resolve or {})

    def _copy_impl(
        self, args: Any, kwargs: dict[str, Any], options: dict[str, Any], other: dict[str, Any]
    ) -> MultiOutputNode:
        return MultiOutputNode(args, other)

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        return self._bound_args
