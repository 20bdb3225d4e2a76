"""Pictures of compiled graphs, as text and by graphviz."""

from __future__ import annotations

from typing import Any

from ._plan import DRIVER, INPUT, Graph, actor_of


def _short(actor: Any) -> str:
    return "driver" if actor is DRIVER else f"{actor._actor_id.hex()[:8]}"


def _label(graph: Graph, number: int) -> str:
    if number == INPUT:
        return "InputNode"
    call = graph.calls[number - 1]
    if call.is_class_method_output:
        return f"ClassMethodOutputNode[{call.output_idx}]"
    return f"Actor: {_short(actor_of(call))} Method: {call.get_method_name()}"


def _edges(graph: Graph) -> list[tuple[int, int]]:
    """(from, to); the outputs go to a node of their own behind the last."""
    last = len(graph.calls) + 1
    edges = [
        (hole.node, graph.numbers[call]) for call in graph.calls for hole in graph.holes_of(call)
    ]
    return edges + [(number, last) for number in graph.outputs]


def _kind(graph: Graph, source: int, target: int) -> str:
    """How a value travels."""
    makers = [DRIVER] + [actor_of(call) for call in graph.calls] + [DRIVER]
    return "in process" if makers[source] == makers[target] else "shared memory"


def as_text(graph: Graph) -> str:
    """Nodes and edges, one a line."""
    last = len(graph.calls) + 1
    lines = ["Nodes Information:"]
    lines += [f'{i} [label="Task {i}  {_label(graph, i)}"]' for i in range(last)]
    lines += [f'{last} [label="Task {last}  MultiOutputNode"]', "", "Edges Information:"]
    edges = _edges(graph)
    lines += [f"{a} ---> {b}  ({_kind(graph, a, b)})" for a, b in edges]
    return "\n".join(lines) + "\n"


def draw(graph: Graph, filename: str, kind: str, view: bool, channel_details: bool) -> str:
    """Draws to `filename`, whose ending is added, and gives the graph in graphviz's language."""
    try:
        import graphviz
    except ImportError:
        raise ImportError(
            "Please install graphviz to visualize the compiled graph. You can install it by running `pip install "
            "graphviz`."
        ) from None
    dot = graphviz.Digraph(name="compiled_graph", format=kind)
    last = len(graph.calls) + 1
    for number in range(last):
        dot.node(str(number), _label(graph, number))
    dot.node(str(last), "MultiOutputNode")
    for source, target in _edges(graph):
        label = _kind(graph, source, target) if channel_details else None
        dot.edge(str(source), str(target), label=label)
    dot.render(filename, view=view, cleanup=True)
    return str(dot.source)
