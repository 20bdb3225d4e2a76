"""ClassNode and ClassMethodNode: bound actors and bound calls of their methods."""

from __future__ import annotations

import inspect
from typing import Any

from .constants import (
    BIND_INDEX_KEY,
    IS_CLASS_METHOD_OUTPUT_KEY,
    PARENT_CLASS_NODE_KEY,
    PREV_CLASS_METHOD_CALL_KEY,
)
from .dag_node import DAGNode
from .input_node import InputNode


class ClassNode(DAGNode):
    """An actor that was bound and not made: `node.method.bind(...)` binds calls on it."""

    def __init__(
        self,
        cls: Any,
        cls_args: Any,
        cls_kwargs: dict[str, Any],
        cls_options: dict[str, Any],
        other_args_to_resolve: dict[str, Any] | None = None,
    ) -> None:
        self._body = cls
        self._last_call: ClassMethodNode | None = None
        super().__init__(cls_args, cls_kwargs, cls_options, other_args_to_resolve)
        if any(isinstance(node, InputNode) for node in self._upstream_nodes):
            raise ValueError(
                "InputNode handles user dynamic input the DAG, and cannot be used as args, kwargs, or "
                "other_args_to_resolve in ClassNode constructor because it is not available at class construction "
                "or binding time."
            )

    def _copy_impl(
        self, args: Any, kwargs: dict[str, Any], options: dict[str, Any], other: dict[str, Any]
    ) -> ClassNode:
        return ClassNode(self._body, args, kwargs, options, other)

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        from .._actor import ActorClass

        made = ActorClass(self._body, self._bound_options)
        return made.remote(*self._bound_args, **self._bound_kwargs)

    def _title(self) -> str:
        return f"{self._body.__name__}()"

    def __getattr__(self, name: str) -> Any:
        body = self.__dict__.get("_body")
        if (name.startswith("__") and name != "__call__") or body is None:
            raise AttributeError(name)
        if name == "bind" and not hasattr(body, "bind"):
            raise AttributeError(f".bind() cannot be used again on {type(self)} ")
        getattr(body, name)  # AttributeError with the class's own words
        return _UnboundClassMethodNode(self, name, {})


class _UnboundClassMethodNode:
    """`class_node.method`, before it is bound."""

    def __init__(self, actor: ClassNode, method_name: str, options: dict[str, Any]) -> None:
        self._actor = actor
        self._method_name = method_name
        self._options = options

    def bind(self, *args: Any, **kwargs: Any) -> ClassMethodNode:
        # The call before it on the same actor: their order is that of binding.
        other = {
            PARENT_CLASS_NODE_KEY: self._actor,
            PREV_CLASS_METHOD_CALL_KEY: self._actor._last_call,
        }
        node = ClassMethodNode(self._method_name, args, kwargs, self._options, other)
        self._actor._last_call = node
        return node

    def options(self, **options: Any) -> _UnboundClassMethodNode:
        return _UnboundClassMethodNode(self._actor, self._method_name, options)

    def __getattr__(self, name: str) -> Any:
        if name == "remote":
            raise AttributeError(
                ".remote() cannot be used on ClassMethodNodes. Use .bind() instead to express an symbolic actor "
                "call."
            )
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


class ClassMethodNode(DAGNode):
    """A bound call of an actor's method, or one of the several values that such a call returns."""

    def __init__(
        self,
        method_name: str,
        method_args: Any,
        method_kwargs: dict[str, Any],
        method_options: dict[str, Any],
        other_args_to_resolve: dict[str, Any],
    ) -> None:
        self._method_name = method_name
        self._parent_class_node: Any = other_args_to_resolve.get(PARENT_CLASS_NODE_KEY)
        self._bind_index: int | None = other_args_to_resolve.get(BIND_INDEX_KEY)
        self._is_class_method_output = bool(other_args_to_resolve.get(IS_CLASS_METHOD_OUTPUT_KEY))
        super().__init__(method_args, method_kwargs, method_options, other_args_to_resolve)

    def _copy_impl(
        self, args: Any, kwargs: dict[str, Any], options: dict[str, Any], other: dict[str, Any]
    ) -> ClassMethodNode:
        return type(self)(self._method_name, args, kwargs, options, other)

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        if self._is_class_method_output:
            return self._bound_args[0][self._bound_args[1]]
        method = getattr(self._parent_class_node, self._method_name)
        given = {k: v for k, v in self._bound_options.items() if v is not None}
        if given:
            method = method.options(**given)
        return method.remote(*self._bound_args, **self._bound_kwargs)

    def _title(self) -> str:
        return f"{self._method_name}()"

    def __repr__(self) -> str:
        return str(self)

    def get_method_name(self) -> str:
        return self._method_name

    def _get_bind_index(self) -> int | None:
        return self._bind_index

    def _get_actor_handle(self) -> Any:
        """The handle of an actor that exists; None for one that is bound, too."""
        from .._actor import ActorHandle

        parent = self._parent_class_node
        return parent if isinstance(parent, ActorHandle) else None

    @property
    def num_returns(self) -> int:
        """How many values the call returns."""
        if self._is_class_method_output:
            call: ClassMethodNode = self._bound_args[0]
            return call.num_returns
        count = self._bound_options.get("num_returns")
        if count is None:
            handle = self._get_actor_handle()
            known = handle._meta["methods"].get(self._method_name, {}) if handle else {}
            count = known.get("num_returns")
        return 1 if count is None else int(count)

    @property
    def is_class_method_call(self) -> bool:
        """Whether it is a call, and not one of the values of one."""
        return not self._is_class_method_output

    @property
    def is_class_method_output(self) -> bool:
        """Whether it is one of the values of a call."""
        return self._is_class_method_output

    @property
    def class_method_call(self) -> ClassMethodNode | None:
        """The call that this is a value of."""
        return self._bound_args[0] if self._is_class_method_output else None

    @property
    def output_idx(self) -> int | None:
        """Which value of its call this is."""
        return self._bound_args[1] if self._is_class_method_output else None


def bind_method(
    handle: Any, name: str, options: dict[str, Any], args: Any, kwargs: dict[str, Any]
) -> Any:
    """`handle.name.bind(...)`: a node, or a tuple of one for each value of a call that returns several. TypeError
    for arguments that the method does not take, in the process that has made the actor."""
    _check_arguments(handle, name, args, kwargs)
    index = handle.__dict__.get("_ray_dag_bind_index", 0)
    handle.__dict__["_ray_dag_bind_index"] = index + 1
    other = {
        PARENT_CLASS_NODE_KEY: handle,
        PREV_CLASS_METHOD_CALL_KEY: None,
        BIND_INDEX_KEY: index,
    }
    node = ClassMethodNode(name, args, kwargs, options, other)
    if node.num_returns <= 1:
        return node
    return tuple(
        ClassMethodNode(
            f"return_idx_{i}",
            (node, i),
            {},
            {},
            {IS_CLASS_METHOD_OUTPUT_KEY: True, PARENT_CLASS_NODE_KEY: handle},
        )
        for i in range(node.num_returns)
    )


def _check_arguments(handle: Any, name: str, args: Any, kwargs: dict[str, Any]) -> None:
    method = getattr(handle.__dict__.get("_class"), name, None)
    try:
        signature = inspect.signature(method)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return  # unknown here, or one of those that every actor has
    static = isinstance(inspect.getattr_static(handle.__dict__["_class"], name), staticmethod)
    self_too = () if static or inspect.ismethod(method) else (handle,)
    try:
        signature.bind(*self_too, *args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"{error}. The function `{name}` has a signature `{signature}`, but the given arguments to `bind` "
            f"doesn't match. args: {args}. kwargs: {kwargs}."
        ) from None
