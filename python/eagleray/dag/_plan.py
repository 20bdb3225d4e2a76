"""From nodes to plans: checks that a graph can be compiled, and says what each actor does and which channels there
are. Makes nothing by itself.

Nodes are numbered as they were bound, so their order is one in which each comes after all that it needs; every
actor makes its calls in it. Then no two wait for each other: of all calls that are not made, the first has what it
needs.
"""

from __future__ import annotations

from typing import Any

from ._loop import WHOLE, Hole, StepPlan
from ._scan import nodes_in
from .class_node import ClassMethodNode
from .collective_node import CollectiveOutputNode
from .dag_node import DAGNode
from .function_node import FunctionNode
from .input_node import InputAttributeNode, InputNode
from .output_node import MultiOutputNode

INPUT = 0  # the number of the input; calls have those from 1 on
DRIVER = None  # in the place of an actor


class Graph:
    """A graph that can be compiled.

    calls: its calls in their order. readers: for each number who reads it elsewhere than where it is made.
    outputs: the numbers of the results. positional, keywords: what execute() must be given.
    """

    def __init__(self, output: DAGNode) -> None:
        self.returns_list = isinstance(output, MultiOutputNode)
        nodes = _connected(output)
        _check_kinds(nodes, output)
        self.input = _the_input(nodes, output)
        self.calls: list[ClassMethodNode] = sorted(
            (node for node in nodes if isinstance(node, ClassMethodNode)), key=lambda n: n._number
        )
        self.numbers: dict[DAGNode, int] = {node: i + 1 for i, node in enumerate(self.calls)}
        self.keys: dict[DAGNode, Any] = {self.input: WHOLE}
        for node in nodes:
            if isinstance(node, InputAttributeNode):
                self.keys[node] = node.key
        ends = list(output.get_args()) if self.returns_list else [output]
        _check_ends(ends)
        _check_leaves(self.calls, output)
        self._check_arguments()
        self._check_input(nodes, output)
        self.outputs = [self.numbers[node] for node in ends]
        self.actors = list(dict.fromkeys(actor_of(node) for node in self.calls))
        self.readers = self._readers()

    def holes_of(self, call: ClassMethodNode) -> list[Hole]:
        """The arguments of a call that come from other nodes; of a value of a call, that call."""
        if call.is_class_method_output:
            assert call.class_method_call is not None
            return [Hole(0, self.numbers[call.class_method_call])]
        return [
            Hole(position, self.numbers.get(arg, INPUT), self.keys.get(arg, WHOLE))
            for position, arg in enumerate(call.get_args())
            if isinstance(arg, DAGNode)
        ]

    def _check_arguments(self) -> None:
        for call in self.calls:
            if call.is_class_method_output:
                continue
            if any(nodes_in(value) for value in call.get_kwargs().values()):
                raise ValueError(
                    "Compiled DAG currently does not support binding to other DAG nodes as kwargs"
                )
            if not self.holes_of(call):
                raise ValueError(
                    "Compiled DAGs require each task to take a ray.dag.InputNode or at least one other DAGNode as "
                    f"an input. Invalid task node:\n{call}\nPlease bind the task to proper DAG nodes."
                )

    def _check_input(self, nodes: list[DAGNode], output: DAGNode) -> None:
        used = {self.keys[arg] for call in self.calls for arg in call.get_args() if _is_input(arg)}
        parts = used - {WHOLE}
        if parts and WHOLE in used:
            raise ValueError(
                "All tasks must either use InputNode() directly, or they must index to specific args or kwargs."
            )
        accessed = list(self.input.input_attribute_nodes)
        unused = [key for key in accessed if key not in parts]
        if unused:
            raise ValueError(
                "Compiled Graph expects input to be accessed using all of attributes "
                f"{', '.join(map(str, accessed))}, but {', '.join(map(str, unused))} "
                f"{'is' if len(unused) == 1 else 'are'} unused. Ensure all input attributes are used and contribute to the computation of the Compiled "
                "Graph output."
            )
        indices = [key for key in parts if isinstance(key, int)]
        self.positional = 1 if WHOLE in used else max(indices, default=-1) + 1
        self.keywords = [key for key in parts if isinstance(key, str)]

    def _readers(self) -> dict[int, list[Any]]:
        readers: dict[int, list[Any]] = {}
        for call in self.calls:
            actor = actor_of(call)
            for hole in self.holes_of(call):
                maker = DRIVER if hole.node == INPUT else actor_of(self.calls[hole.node - 1])
                known = readers.setdefault(hole.node, [])
                if maker != actor and actor not in known:
                    known.append(actor)
        for number in self.outputs:
            known = readers.setdefault(number, [])
            if DRIVER not in known:
                known.append(DRIVER)
        return {number: known for number, known in readers.items() if known}

    def inputs_of(self, actor: Any) -> list[int]:
        """What an actor reads from channels."""
        return [number for number, readers in self.readers.items() if actor in readers]

    def steps_of(self, actor: Any, addresses: dict[Any, Any]) -> list[StepPlan]:
        """An actor's calls; `addresses` are those of the channels."""
        wanted = {
            hole.node
            for call in self.calls
            if actor_of(call) == actor
            for hole in self.holes_of(call)
        }
        return [
            self._step(call, addresses, wanted) for call in self.calls if actor_of(call) == actor
        ]

    def _step(self, call: ClassMethodNode, addresses: dict[Any, Any], wanted: set[int]) -> StepPlan:
        number = self.numbers[call]
        output = addresses.get(number)
        collective = None
        holes = self.holes_of(call)
        if call.is_class_method_output:
            source = call.class_method_call
            assert source is not None
            args, method, pick, of = [None], "", call._bound_args[1], source.num_returns
            kwargs: dict[str, Any] = {}
        else:
            args = [None if isinstance(arg, DAGNode) else arg for arg in call.get_args()]
            method, pick, of, kwargs = call.get_method_name(), 0, 1, call.get_kwargs()
        if isinstance(call, CollectiveOutputNode) and call.collective_op is not None:
            collective = addresses[call.collective_op, actor_of(call)]
        return StepPlan(
            number, method, pick, of, args, holes, kwargs, number in wanted, output, collective
        )

    @property
    def collectives(self) -> list[Any]:
        """The collective operations, each once."""
        found = [c.collective_op for c in self.calls if isinstance(c, CollectiveOutputNode)]
        return [op for op in dict.fromkeys(found) if op is not None]


def _is_input(value: Any) -> bool:
    return isinstance(value, (InputNode, InputAttributeNode))


def actor_of(call: ClassMethodNode) -> Any:
    """The handle of the actor that makes the call."""
    source = call.class_method_call
    return (source or call)._get_actor_handle()


def _connected(output: DAGNode) -> list[DAGNode]:
    """All nodes that hang together with the output."""
    seen = {output: None}
    queue = [output]
    while queue:
        node = queue.pop()
        nested = [arg for arg in node.get_args() if not isinstance(arg, DAGNode) and nodes_in(arg)]
        if nested:
            raise ValueError(
                f"Found {len(nodes_in(nested))} DAGNodes from the arg {nested[0]} in {node}. Please ensure that "
                "the argument is a single DAGNode and that a DAGNode is not allowed to be placed inside any type "
                "of container."
            )
        for other in [*node._upstream_nodes, *node._downstream_nodes]:
            if other not in seen:
                seen[other] = None
                queue.append(other)
    return list(seen)


def _check_kinds(nodes: list[DAGNode], output: DAGNode) -> None:
    compiled = [node for node in nodes if node.is_cgraph_output_node and node is not output]
    if compiled:
        raise ValueError(
            "The DAG was compiled more than once. The following two nodes call `experimental_compile`: "
            f"(1) {output}, (2) {compiled[0]}"
        )
    for node in nodes:
        if isinstance(node, FunctionNode):
            if not any(isinstance(other, InputNode) for other in nodes):
                continue  # that there is no input is said first, as Ray does
            raise NotImplementedError("Compiled DAGs currently only support actor method nodes")
        if isinstance(node, ClassMethodNode) and actor_of(node) is None:
            raise ValueError(
                "Compiled DAGs can only bind methods to an actor that is already created with Actor.remote()"
            )
        if isinstance(node, MultiOutputNode) and node is not output:
            raise ValueError(f"{node} is not the output of the graph: only the output may be one.")
        if node._transport not in (None, "auto", "shm"):
            raise NotImplementedError(
                f"with_tensor_transport({node._transport!r}) of {node}: transports of accelerators are not built; "
                "'auto' and 'shm' are shared memory."
            )


def _the_input(nodes: list[DAGNode], output: DAGNode) -> InputNode:
    inputs = [node for node in nodes if isinstance(node, InputNode)]
    if not inputs:
        raise ValueError(
            "No InputNode found in the DAG: when traversing upwards, no upstream node was found for "
            f"{output}."
        )
    if len(inputs) > 1:
        raise AssertionError("Each DAG should only have one unique InputNode.")
    return inputs[0]


def _check_ends(ends: list[Any]) -> None:
    for end in ends:
        if not isinstance(end, ClassMethodNode):
            raise ValueError(
                f"The output of a compiled graph must be what an actor's method returns, and {end} is not."
            )


def _check_leaves(calls: list[ClassMethodNode], output: DAGNode) -> None:
    leaves = [c.get_method_name() for c in calls if not c._downstream_nodes and c is not output]
    if leaves:
        raise ValueError(
            "Compiled DAG doesn't support leaf nodes, i.e., nodes that don't have downstream nodes and are not "
            f"output nodes. There are {len(leaves)} leaf nodes in the DAG. Please add the outputs of {leaves} to "
            "the the MultiOutputNode."
        )
