"""The checker itself: a check that cannot fail is none."""

import importlib.util
from pathlib import Path

import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our own tool")
_spec = importlib.util.spec_from_file_location(
    "tidy", Path(__file__).parents[1] / "tools" / "tidy.py"
)
tidy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tidy)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/client/a.cc", '#include "wire/codec.h"\n'),
        ("src/base/a.h", '#include "client/client_machine.h"\n'),
        ("src/node/a.cc", "#include <chrono>\n"),
        ("src/control/a.cc", "#include <sys/socket.h>\n"),
        ("src/shell/a.cc", "void f() { assert(true); }\n"),
        ("src/io/a.cc", "void f() { usleep(3); }\n"),
        ("src/store/a.cc", "\n" * 1001),
    ],
)
def test_bad_sources_are_found(path, text):
    assert tidy.check_source(path, text)


def test_good_sources_pass():
    text = '#include "message/local.h"\n#include <vector>\nstatic_assert(sizeof(int) == 4);\n'
    assert not tidy.check_source("src/client/a.cc", text)


def test_sleeping_tests_are_found():
    assert tidy.check_test("tests/test_x.py", "import time\ntime.sleep(0.1)\n")
