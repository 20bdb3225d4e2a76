"""_core.pyi describes what the extension has, no more and no less."""

import ast
from pathlib import Path

import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our extension")


def test_the_stub_is_exact():
    from eagleray import _core

    stub = ast.parse((Path(__file__).parents[1] / "python/eagleray/_core.pyi").read_text())
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            assert hasattr(_core, node.name), node.name
        if not isinstance(node, ast.ClassDef) or node.name == "PendingCallsLimit":
            continue
        described = set()
        for item in node.body:
            if isinstance(item, ast.FunctionDef) and item.name != "__init__":
                described.add(item.name)
            elif isinstance(item, ast.AnnAssign):
                described.add(item.target.id)
        actual = {name for name in dir(getattr(_core, node.name)) if not name.startswith("_")}
        if node.name == "ObjectRef":  # _api.py adds methods written in Python
            actual -= {"as_future", "call_site", "future", "job_id", "nil", "size", "task_id"}
            actual -= {"from_binary", "from_hex", "from_random"}
        assert described == actual, node.name
