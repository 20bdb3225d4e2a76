"""One cluster of 4 CPUs a module."""

import os
import signal
from pathlib import Path

import pytest
from _support import PEER, ray

# Programs that tests start find the package as the tests do (pythonpath in pyproject.toml).
_PACKAGE = str(Path(__file__).parents[1] / "python")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_PACKAGE, os.environ.get("PYTHONPATH")]))

# A shell starts what it puts in the background deaf to Ctrl-C; some of these tests press it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=4, resources={"custom": 2})
    yield ray
    ray.shutdown()


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The directory in which Tune keeps experiments: one of the test's own."""
    monkeypatch.setenv("TUNE_RESULT_DIR", str(tmp_path))
    return tmp_path


LONG_TIMEOUT_S = 1800  # of a test that is marked long; others have pyproject.toml's


def pytest_collection_modifyitems(items):
    for item in items:
        if "long" in item.keywords and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT_S))
    if PEER:
        skip = pytest.mark.skip(reason="not part of Ray's contract")
        for item in items:
            if "only_eagleray" in item.keywords:
                item.add_marker(skip)
