"""FunctionNode: a bound call of a remote function."""

from __future__ import annotations

import functools
from typing import Any

from .dag_node import DAGNode


@functools.lru_cache(1024)
def _remote(function: Any) -> Any:
    """The function made remote, once, so that it is exported once."""
    from .._remote_function import RemoteFunction

    return RemoteFunction(function, {})


class FunctionNode(DAGNode):
    """A call of a remote function that was bound."""

    def __init__(
        self,
        func_body: Any,
        func_args: Any,
        func_kwargs: dict[str, Any],
        func_options: dict[str, Any],
        other_args_to_resolve: dict[str, Any] | None = None,
    ) -> None:
        self._body = func_body
        super().__init__(func_args, func_kwargs, func_options, other_args_to_resolve)

    def _copy_impl(
        self, args: Any, kwargs: dict[str, Any], options: dict[str, Any], other: dict[str, Any]
    ) -> FunctionNode:
        return FunctionNode(self._body, args, kwargs, options, other)

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        call = _remote(self._body)
        if self._bound_options:
            call = call.options(**self._bound_options)
        return call.remote(*self._bound_args, **self._bound_kwargs)

    def _title(self) -> str:
        return f"{getattr(self._body, '__name__', self._body)}()"
