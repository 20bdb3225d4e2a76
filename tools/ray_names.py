"""Prints the public names of an installed Ray's tune and rllib, a line a module, as tests/ray_names.txt has them.

    .venv-ray/bin/python tools/ray_names.py [DIRECTORY OF RAY]

It reads the source: names in `__all__`, and classes and functions marked PublicAPI, DeveloperAPI or OldAPIStack. So
it finds them also where an import would need TensorFlow. Tests, examples and benchmarks are left out.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

PACKAGES = ("tune", "rllib")
MARKS = {"PublicAPI", "DeveloperAPI", "OldAPIStack"}
LEFT_OUT = {"tests", "examples", "tuned_examples", "benchmarks", "test_utils"}


def names(path: Path) -> set[str]:
    """The public names of one file."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            marks = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
            if any(isinstance(mark, ast.Name) and mark.id in MARKS for mark in marks):
                found.add(node.name)
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            values = ast.walk(node.value)  # type: ignore[attr-defined]
            found |= {v.value for v in values if isinstance(v, ast.Constant)}
    return {name for name in found if not name.startswith("_")}


def main() -> int:
    given = sys.argv[1:]
    spec = None if given else importlib.util.find_spec("ray")
    root = Path(given[0]) if given else Path(str(spec.origin)).parent  # type: ignore[union-attr]
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = [part for part in path.relative_to(root).with_suffix("").parts]
            if LEFT_OUT & set(parts) or any(p.startswith("_") and p != "__init__" for p in parts):
                continue
            found = names(path)
            if found:
                module = ".".join(part for part in parts if part != "__init__")
                print(f"{module}: {' '.join(sorted(found))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
