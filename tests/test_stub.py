"""_core.pyi and _rl.pyi describe what the extensions have, no more and no less."""

import ast
import importlib
from pathlib import Path

import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our extension")

# Of ObjectRef: _api.py adds methods written in Python.
ADDED = {"as_future", "call_site", "future", "job_id", "nil", "size", "task_id"}
ADDED |= {"from_binary", "from_hex", "from_random"}


@pytest.mark.parametrize("name", ["_core", "_rl"])
def test_the_stub_is_exact(name):
    module = importlib.import_module(f"eagleray.{name}")
    stub = ast.parse((Path(__file__).parents[1] / f"python/eagleray/{name}.pyi").read_text())
    classes = {node.name for node in stub.body if isinstance(node, ast.ClassDef)}
    functions = {node.name for node in stub.body if isinstance(node, ast.FunctionDef)}
    if name == "_rl":
        assert {n for n in dir(module) if not n.startswith("_")} == classes | functions
    for function in functions:
        assert hasattr(module, function), function
    for node in stub.body:
        if not isinstance(node, ast.ClassDef) or node.name == "PendingCallsLimit":
            continue
        described = set()
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name != "__init__":
                described.add(item.name)
            elif isinstance(item, ast.AnnAssign):
                described.add(item.target.id)
        actual = {n for n in dir(getattr(module, node.name)) if not n.startswith("_")}
        if node.name == "ObjectRef":
            actual -= ADDED
        assert described == actual, node.name
