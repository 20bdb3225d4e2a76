"""Every Python sample of the README and of docs/user runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our documents")
ROOT = Path(__file__).parents[1]
SAMPLES = [
    pytest.param(code, id=f"{path.name}-{number}")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs" / "user").glob("*.md"))]
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.S))
]


@pytest.mark.parametrize("code", SAMPLES)
def test_sample(code, tmp_path):
    script = tmp_path / "sample.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,  # what it leaves is not left in the tree
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
    )
    assert done.returncode == 0, done.stderr


def test_decisions_are_numbered_once_and_listed():
    folder = ROOT / "docs" / "adr"
    names = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [name[:4] for name in names] == [f"{i:04}" for i in range(1, len(names) + 1)]
    assert re.findall(r"\]\((\d[^)]*)\)", (folder / "README.md").read_text()) == names
