"""Task graphs with Ray's names: `.bind()` describes calls without making them, `.execute()` makes them as tasks
and actor calls, `.experimental_compile()` turns a graph of actor calls into loops on the actors that hand values
on through shared memory."""

from __future__ import annotations

from typing import Any

from .class_node import ClassMethodNode, ClassNode
from .collective_node import CollectiveOutputNode
from .constants import (
    BIND_INDEX_KEY,
    COLLECTIVE_OPERATION_KEY,
    DAGNODE_TYPE_KEY,
    IS_CLASS_METHOD_OUTPUT_KEY,
    PARENT_CLASS_NODE_KEY,
    PREV_CLASS_METHOD_CALL_KEY,
)
from .context import DAGContext
from .dag_node import DAGNode
from .function_node import FunctionNode
from .input_node import DAGInputData, InputAttributeNode, InputNode
from .output_node import MultiOutputNode
from .vis_utils import plot

__all__ = [
    "BIND_INDEX_KEY",
    "COLLECTIVE_OPERATION_KEY",
    "DAGNODE_TYPE_KEY",
    "IS_CLASS_METHOD_OUTPUT_KEY",
    "PARENT_CLASS_NODE_KEY",
    "PREV_CLASS_METHOD_CALL_KEY",
    "ClassMethodNode",
    "ClassNode",
    "CollectiveOutputNode",
    "DAGContext",
    "DAGInputData",
    "DAGNode",
    "FunctionNode",
    "InputAttributeNode",
    "InputNode",
    "MultiOutputNode",
    "plot",
]


def __getattr__(name: str) -> Any:
    from .. import _planned

    return _planned.find("dag", name)
