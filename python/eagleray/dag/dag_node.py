"""DAGNode: what all nodes of a graph share."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ._scan import DAGNodeBase, nodes_in, replaced

if TYPE_CHECKING:
    from .compiled_dag_node import CompiledDAG

_numbers = itertools.count()


class DAGNode(DAGNodeBase):
    """A call that was bound and not made: its arguments, which may hold other nodes, and its options. Made by
    `.bind()` of remote functions, actor classes and actor methods; not by its constructor."""

    def __init__(
        self,
        args: Any,
        kwargs: dict[str, Any] | None,
        options: dict[str, Any] | None,
        other_args_to_resolve: dict[str, Any] | None,
    ) -> None:
        self._bound_args: Any = args or []
        self._bound_kwargs: dict[str, Any] = kwargs or {}
        self._bound_options: dict[str, Any] = options or {}
        self._bound_other_args_to_resolve: dict[str, Any] = other_args_to_resolve or {}
        self._stable_uuid = uuid.uuid4().hex
        self._number = next(_numbers)  # a node is made after all that it depends on
        self._transport: Any = None
        self.cache_from_last_execute: dict[str, Any] = {}
        self.is_cgraph_output_node = False
        self._downstream_nodes: list[DAGNode] = []
        self._upstream_nodes: list[DAGNode] = self._get_all_child_nodes()
        for node in self._upstream_nodes:
            node._downstream_nodes.append(self)

    # ---- what was bound ----

    def get_args(self) -> Any:
        """The bound positional arguments."""
        return self._bound_args

    def get_kwargs(self) -> dict[str, Any]:
        """A copy of the bound keyword arguments."""
        return self._bound_kwargs.copy()

    def get_options(self) -> dict[str, Any]:
        """A copy of the options of `.options()`."""
        return self._bound_options.copy()

    def get_other_args_to_resolve(self) -> dict[str, Any]:
        """What the kind of node resolves besides its arguments, such as the actor of a method."""
        return self._bound_other_args_to_resolve.copy()

    def get_stable_uuid(self) -> str:
        """An id that copies of the node keep, also through pickle."""
        return self._stable_uuid

    def _get_actor_handle(self) -> Any:
        """Of the actor that exists and makes the call; None: there is none."""
        return None

    def _get_all_child_nodes(self) -> list[DAGNode]:
        return nodes_in([self._bound_args, self._bound_kwargs, self._bound_other_args_to_resolve])

    def _get_toplevel_child_nodes(self) -> list[DAGNode]:
        own = [self._bound_args, self._bound_kwargs.values()]
        own.append(self._bound_other_args_to_resolve.values())
        found = [each for each in itertools.chain(*own) if isinstance(each, DAGNode)]
        return list(dict.fromkeys(found))

    def with_tensor_transport(
        self,
        transport: Any = "auto",
        device: str = "default",
        _static_shape: bool = False,
        _direct_return: bool = False,
    ) -> DAGNode:
        """How tensors of this node travel in a compiled graph. "auto" and "shm" are shared memory; transports
        of accelerators ("nccl", "accelerator", a Communicator) raise NotImplementedError when the graph is
        compiled. Gives the node back. ValueError: no such transport or device."""
        from ..experimental.channel import Communicator

        if device not in ("default", "cpu", "gpu", "cuda"):
            raise ValueError(
                f"Invalid device '{device}'. Valid options are: 'default', 'cpu', 'gpu', 'cuda'."
            )
        known = ("auto", "nccl", "shm", "accelerator")
        if transport not in known and not isinstance(transport, Communicator):
            raise ValueError(
                f"Invalid transport type: {transport}. Transport must be one of 'auto', 'nccl', 'shm', "
                "'accelerator' or an instance of Communicator type."
            )
        if device in ("gpu", "cuda"):
            transport = "accelerator"
        self._transport = transport
        return self

    # ---- going through the graph ----

    def _bottom_up(self) -> Iterator[DAGNode]:
        """This node and all below it, each after those it depends on; without recursion, so of any depth."""
        given: set[str] = set()
        stack: list[tuple[DAGNode, bool]] = [(self, False)]
        while stack:
            node, ready = stack.pop()
            if node._stable_uuid in given:
                continue
            if ready:
                given.add(node._stable_uuid)
                yield node
                continue
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(node._get_all_child_nodes()))

    def apply_recursive(self, fn: Callable[[Any], Any]) -> Any:
        """Applies `fn` to each node once, from the leaves up, and gives its result for this node. What `fn` gets
        is a copy of the node in which the nodes it depends on are replaced by their results."""
        from .input_node import InputNode

        results: dict[str, Any] = {}
        if hasattr(fn, "__dict__"):
            fn.cache = results  # type: ignore[attr-defined]
        inputs = set()
        for node in list(self._bottom_up()):
            if isinstance(node, InputNode):
                inputs.add(node._stable_uuid)
                if len(inputs) > 1:
                    raise AssertionError("Each DAG should only have one unique InputNode.")
            copy = node._apply_and_replace_all_child_nodes(
                lambda child: results[child._stable_uuid]
            )
            results[node._stable_uuid] = fn(copy)
        return results[self._stable_uuid]

    def apply_functional(
        self,
        source_input_list: Any,
        predicate_fn: Callable[[Any], Any],
        apply_fn: Callable[[Any], Any],
    ) -> Any:
        """`source_input_list` with `apply_fn(node)` for each node in it for which `predicate_fn` is true."""
        made: dict[DAGNode, Any] = {}

        def result(node: DAGNode) -> Any:
            if not predicate_fn(node):
                return node
            if node not in made:
                made[node] = apply_fn(node)
            return made[node]

        return replaced(source_input_list, result)

    def _apply_and_replace_all_child_nodes(self, fn: Callable[[Any], Any]) -> Any:
        made: dict[DAGNode, Any] = {}

        def result(node: DAGNode) -> Any:
            if node not in made:
                made[node] = fn(node)
            return made[node]

        args = replaced(self._bound_args, result)
        kwargs = replaced(self._bound_kwargs, result)
        return self._copy(
            args,
            kwargs,
            self.get_options(),
            replaced(self._bound_other_args_to_resolve, result),
        )

    def _copy(
        self, args: Any, kwargs: dict[str, Any], options: dict[str, Any], other: dict[str, Any]
    ) -> DAGNode:
        made = self._copy_impl(args, kwargs, options, other)
        made._stable_uuid = self._stable_uuid
        made._transport = self._transport
        for node in made._upstream_nodes:  # a copy is not part of the graph
            node._downstream_nodes.remove(made)
        return made

    def _copy_impl(
        self, args: Any, kwargs: dict[str, Any], options: dict[str, Any], other: dict[str, Any]
    ) -> DAGNode:
        raise NotImplementedError(f"{type(self).__name__} cannot be copied")

    # ---- executing ----

    def execute(self, *args: Any, _ray_cache_refs: bool = False, **kwargs: Any) -> Any:
        """Makes the calls, as tasks and actor calls; the arguments are what the InputNode stands for. Gives the
        ObjectRef of this node's call, the ActorHandle of a class, a list of them for a MultiOutputNode. Each call
        makes the actors of bound classes anew."""

        def executor(node: DAGNode) -> Any:
            return node._execute_impl(*args, **kwargs)

        result = self.apply_recursive(executor)
        if _ray_cache_refs:
            self.cache_from_last_execute = executor.cache  # type: ignore[attr-defined]
        return result

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be executed")

    async def get_object_refs_from_last_execute(self) -> dict[str, Any]:
        """Of the last `execute(_ray_cache_refs=True)`: each node's result by its stable uuid."""
        return {
            name: await value if isinstance(value, asyncio.Task) else value
            for name, value in self.cache_from_last_execute.items()
        }

    def experimental_compile(
        self,
        _submit_timeout: float | None = None,
        _buffer_size_bytes: int | None = None,
        enable_asyncio: bool = False,
        _max_inflight_executions: int | None = None,
        _max_buffered_results: int | None = None,
        _overlap_gpu_communication: bool | None = None,
        _default_communicator: Any = "create",
    ) -> CompiledDAG:
        """Starts a loop on each actor of the graph that makes its calls as values arrive, and gives what executes
        the graph. What is not given is as DAGContext says.

        _submit_timeout: seconds that execute() waits for room; _buffer_size_bytes: of each buffer at first;
        _max_inflight_executions: beyond it execute() raises RayCgraphCapacityExceeded; _max_buffered_results:
        results that may wait for their get(). enable_asyncio: execute_async() instead of execute().
        _overlap_gpu_communication and communicators are for accelerators: NotImplementedError. ValueError and
        NotImplementedError for graphs that cannot be compiled, as Ray's.
        """
        from .compiled_dag_node import compile_graph

        return compile_graph(
            self,
            submit_timeout=_submit_timeout,
            buffer_size_bytes=_buffer_size_bytes,
            enable_asyncio=enable_asyncio,
            max_inflight_executions=_max_inflight_executions,
            max_buffered_results=_max_buffered_results,
            overlap_gpu_communication=_overlap_gpu_communication,
            default_communicator=_default_communicator,
        )

    # ---- Python ----

    def _title(self) -> str:
        return type(self).__name__

    def __str__(self) -> str:
        parts = [self._title()]
        if self._bound_args:
            parts.append(f"args={[_brief(each) for each in self._bound_args]}")
        if self._bound_kwargs:
            parts.append(f"kwargs={ {k: _brief(v) for k, v in self._bound_kwargs.items()} }")
        if self._bound_options:
            parts.append(f"options={self._bound_options}")
        return f"({type(self).__name__}, {self._stable_uuid})({', '.join(parts)})"

    def __getattr__(self, name: str) -> Any:
        if name == "bind":
            raise AttributeError(f".bind() cannot be used again on {type(self)} ")
        if name == "remote":
            raise AttributeError(
                f".remote() cannot be used on {type(self)}. To execute the task graph for this node, use "
                ".execute()."
            )
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)


def _brief(value: Any) -> Any:
    return f"<{value._title()}>" if isinstance(value, DAGNode) else value
