"""InputNode: what the arguments of execute() stand for in a graph."""

from __future__ import annotations

from typing import Any

from .dag_node import DAGNode

IN_CONTEXT_MANAGER = "__in_context_manager__"
_KEYS = "Please only use int index or str as first-level key to access fields of dag input."


class InputNode(DAGNode):
    """The input of a graph, made by `with InputNode() as inp:`. Bound itself it is the one argument of execute();
    `inp[0]` and `inp.x` or `inp["x"]` are parts: an argument of execute(), or of the one argument an item or
    attribute. A graph has one."""

    def __init__(
        self,
        *args: Any,
        input_type: Any = None,
        _other_args_to_resolve: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if args or kwargs:
            raise ValueError("InputNode should not take any args or kwargs.")
        self.input_attribute_nodes: dict[int | str, InputAttributeNode] = {}
        self.input_type = input_type
        other = dict(_other_args_to_resolve or {})
        if isinstance(input_type, type):
            other["result_type_string"] = _type_name(input_type)
        super().__init__([], {}, {}, other)

    def _copy_impl(
        self, args: Any, kwargs: dict[str, Any], options: dict[str, Any], other: dict[str, Any]
    ) -> InputNode:
        return InputNode(_other_args_to_resolve=other)

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        assert self._bound_other_args_to_resolve.get(IN_CONTEXT_MANAGER), (
            "InputNode is a singleton instance that should be only used in context manager for dag building and "
            "execution. See the docstring of class InputNode for examples."
        )
        if len(args) == 1 and not kwargs:
            return args[0]
        return DAGInputData(*args, **kwargs)

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__") or "input_attribute_nodes" not in self.__dict__:
            raise AttributeError(key)
        return self._part(key, "__getattr__")

    def __getitem__(self, key: int | str) -> Any:
        assert isinstance(key, (str, int)), _KEYS
        return self._part(key, "__getitem__")

    def _part(self, key: int | str, accessor: str) -> InputAttributeNode:
        parts = self.__dict__["input_attribute_nodes"]
        if key not in parts:
            types = self.input_type if isinstance(self.input_type, dict) else {}
            name = _type_name(types[key]) if key in types else None
            parts[key] = InputAttributeNode(self, key, accessor, name)
        return parts[key]  # type: ignore[no-any-return]

    def __enter__(self) -> InputNode:
        self._bound_other_args_to_resolve[IN_CONTEXT_MANAGER] = True
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set_context(self, key: str, val: Any) -> None:
        """Sets what copies of the node are to keep."""
        self._bound_other_args_to_resolve[key] = val

    def get_result_type(self) -> str | None:
        """The name of `input_type`, if one was given."""
        return self._bound_other_args_to_resolve.get("result_type_string")


class InputAttributeNode(DAGNode):
    """A part of the input; see InputNode."""

    def __init__(
        self,
        dag_input_node: Any,
        key: int | str,
        accessor_method: str,
        input_type: str | None = None,
    ) -> None:
        self._dag_input_node = dag_input_node
        self._key = key
        self._accessor_method = accessor_method
        super().__init__(
            [],
            {},
            {},
            {
                "dag_input_node": dag_input_node,
                "key": key,
                "accessor_method": accessor_method,
                "result_type_string": input_type,
            },
        )

    def _copy_impl(
        self, args: Any, kwargs: dict[str, Any], options: dict[str, Any], other: dict[str, Any]
    ) -> InputAttributeNode:
        return InputAttributeNode(
            other["dag_input_node"],
            other["key"],
            other["accessor_method"],
            other["result_type_string"],
        )

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        whole = self._dag_input_node  # by now what the input stands for
        if isinstance(whole, DAGInputData) or self._accessor_method == "__getitem__":
            return whole[self._key]
        return getattr(whole, str(self._key))

    def _title(self) -> str:
        return f'["{self._key}"]'

    def get_result_type(self) -> str | None:
        """The name of the type that the InputNode was given for this part."""
        return self._bound_other_args_to_resolve.get("result_type_string")

    @property
    def key(self) -> int | str:
        """Which part."""
        return self._key


class DAGInputData:
    """The arguments of an execute() with several: positional ones by index, keyword ones by name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._args = list(args)
        self._kwargs = kwargs

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, int):
            return self._args[key]
        if isinstance(key, str):
            return self._kwargs[key]
        raise ValueError(_KEYS)


def _type_name(kind: Any) -> str:
    name = getattr(kind, "__name__", str(kind))
    module = getattr(kind, "__module__", "builtins")
    return name if module == "builtins" else f"{module}.{name}"
