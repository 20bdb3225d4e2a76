"""plot(): a picture of a graph."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from .dag_node import DAGNode


def plot(dag: DAGNode, to_file: str | None = None) -> Any:
    """Draws the graph to a file, whose ending says the format (png without one); needs pydot and graphviz, else
    ImportError. In a notebook gives the picture."""
    name = to_file or os.path.join(tempfile.mkdtemp(prefix="eagleray-plot-"), "graph.png")
    extension = os.path.splitext(name)[1][1:] or "png"
    try:
        _dot_of(dag).write(name, format=extension)
        if extension not in ("png", "jpg", "jpeg", "gif"):  # what a notebook shows
            return None
        try:
            from IPython import display
        except ImportError:
            return None
        image: Any = display.Image
        return image(filename=name)
    finally:
        if to_file is None:
            _remove(name)


def _remove(name: str) -> None:
    if os.path.exists(name):
        os.unlink(name)
    os.rmdir(os.path.dirname(name))


def _pydot() -> Any:
    try:
        import pydot
    except ImportError:
        raise ImportError(
            "pydot is required to plot DAG, install it with `pip install pydot`."
        ) from None
    import shutil

    if shutil.which("dot") is None:
        raise ImportError(
            "graphviz is required to plot DAG, download it from https://graphviz.org/download/ (or install the "
            "package graphviz of your system)."
        )
    return pydot


def names_of(nodes: list[DAGNode]) -> dict[DAGNode, str]:
    """A name for each node: what it calls, numbered where several call the same."""
    names: dict[DAGNode, str] = {}
    counts: dict[str, int] = {}
    for node in nodes:
        title = node._title().strip('[]"').removesuffix("()")
        count = counts[title] = counts.get(title, -1) + 1
        names[node] = title if count == 0 else f"{title}_{count}"
    return names


def _dot_of(dag: DAGNode) -> Any:
    pydot = _pydot()
    graph = pydot.Dot(rankdir="LR")
    nodes = list(dag._bottom_up())
    names = names_of(nodes)
    for node in nodes:
        graph.add_node(pydot.Node(names[node]))
        for child in node._get_all_child_nodes():
            graph.add_edge(pydot.Edge(names[child], names[node]))
    return graph
