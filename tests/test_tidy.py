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
    ("path", "text", "advice"),
    [
        ("src/client/a.cc", '#include "wire/codec.h"\n', "turn the dependency round"),
        ("src/base/a.h", '#include "client/client_machine.h"\n', "turn the dependency round"),
        ("src/nowhere/a.h", "", "add it to LAYERS"),
        ("src/learn/a.h", '#include "store/ring.h"', "nothing to do with store/"),
        ("bindings/rl/a.cc", '#include "shell/client_shell.h"', "nothing to do with shell/"),
        ("src/bin/a.cc", '#include "gym/vector_env.h"', "nothing to do with gym/"),
        ("src/node/a.cc", "#include <chrono>\n", "take an Instant"),
        ("src/sched/a.cc", "#include <mutex>\n", "the shell owns one"),
        ("src/control/a.cc", "#include <sys/socket.h>\n", "emit an effect"),
        ("src/object/a.cc", 'auto s = getenv("A");\n', "pass the setting in"),
        ("src/node/a.cc", "auto t = time(nullptr);\n", "take an Instant"),
        ("src/client/a.cc", "std::map<Task*, int> m;\n", "strong id"),
        ("src/store/a.cc", "std::thread t(f);\n", "threads are the shell's"),
        ("src/shell/a.cc", 'printf("hello");\n', "a program prints it"),
        ("src/shell/a.cc", "void f() { assert(true); }\n", "EAGLERAY_CHECK"),
        ("src/io/a.cc", "void f() { usleep(3); }\n", "wait on a descriptor"),
        ("src/io/a.cc", "int x = rand();\n", "base/random.h"),
    ],
)
def test_bad_sources_are_found(path, text, advice):
    (finding,) = tidy.check_source(path, text)
    assert finding.startswith(path) and advice in finding


def test_good_sources_pass():
    text = """#include "message/local.h"
#include <vector>
static_assert(sizeof(int) == 4);  // not assert(), not rand()
/* std::thread, getenv(
   and usleep( in words */
const char* kText = "time(nullptr) // printf(";
const int kThousand = 1'000;
std::map<TaskId, Task*> tasks;
"""
    assert not tidy.check_source("src/client/a.cc", text)
    assert not tidy.check_source("src/io/a.cc", "#include <sys/socket.h>\nstd::thread t(f);\n")
    assert not tidy.check_source("src/store/a_test.cc", "std::thread t(f);\n")


def test_an_exception_frees_one_file_of_one_ban():
    allowed = frozenset({"src/base/a.cc: printf"})
    assert not tidy.check_source("src/base/a.cc", "printf(x);", allowed)
    assert tidy.check_source("src/base/b.cc", "printf(x);", allowed)
    assert tidy.check_source("src/base/a.cc", "usleep(1);", allowed)


def test_findings_have_the_right_line():
    (finding,) = tidy.check_source("src/io/a.cc", "/* one\ntwo */\n\nusleep(1);\n")
    assert finding.startswith("src/io/a.cc:4:")


def test_sleeping_tests_are_found():
    assert tidy.check_test("tests/test_x.py", "import time\ntime.sleep(0.1)\n")


def test_functions_are_measured():
    cpp = """namespace eagleray {
Machine::Machine(const Settings& settings,
                 int limit)
    : settings_(settings), limit_{limit} {
  if (limit > 3) {
    fail("{");
  }
}
struct Inner {
  int two() const {
    return 2;
  }
  int one() const { return 1; }
};
}  // namespace eagleray
"""
    assert tidy.cpp_functions(cpp) == {"Machine::Machine": 7, "two": 3, "one": 1}
    python = "class A:\n    def f(self):\n        def g():\n            pass\n        g()\n"
    assert tidy.python_functions(python) == {"A.f": 3, "A.f.g": 1}


def test_long_files_and_functions_are_found():
    body = "  go();\n" * 69
    assert tidy.too_long("src/io/a.cc", f"void f() {{\n{body}}}\n") == {"src/io/a.cc: f": 71}
    assert tidy.too_long("src/io/a.cc", "\n" * 1001) == {"src/io/a.cc": 1001}
    assert not tidy.too_long("src/io/a.cc", "\n" * 1000)


def test_the_ratchet_only_shrinks():
    assert tidy.check_sizes({"a.cc: f": 71}, {})
    assert tidy.check_sizes({"a.cc: f": 91}, {"a.cc: f": 90})
    assert tidy.check_sizes({}, {"a.cc: f": 90})
    assert not tidy.check_sizes({"a.cc: f": 89}, {"a.cc: f": 90})


def test_the_ratchet_is_lowered_and_never_raised(tmp_path, monkeypatch):
    file = tmp_path / "ratchet.toml"
    file.write_text('# why\n[allowed]\n[lines]\n"gone" = 80\n"less" = 80\n"more" = 80\n')
    monkeypatch.setattr(tidy, "RATCHET", file)
    long = {"less": 75, "more": 90, "new": 99}
    tidy.lower_ratchet(long, {"gone": 80, "less": 80, "more": 80})
    assert file.read_text() == '# why\n[allowed]\n[lines]\n"less" = 75\n"more" = 80\n'


def test_calls_of_compiled_machines_are_found():
    nm = "a.o:\n                 U memcpy\n                 U clock_gettime\n0000 T read\n"
    (finding,) = tidy.check_symbols("libeagleray_node.a", nm)
    assert "clock_gettime" in finding
    assert tidy.check_symbols("x.a", "U _ZNSt6chrono3_V212steady_clock3nowEv\n")


def test_nothing_built_is_a_finding(tmp_path):
    assert tidy.compiled_machines(tmp_path)
