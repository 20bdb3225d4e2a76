"""breakpoint() in workers, `eagleray debug`, post-mortem."""

import json
import os
import re
import subprocess
import sys

import pytest
from _support import PATIENCE_S, PEER, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="our debugger")
pexpect = pytest.importorskip("pexpect")
PACKAGE = os.path.join(os.path.dirname(__file__), "..", "python")


class Session:
    """A program whose tasks stop, and the debugger's command."""

    def __init__(self, tmp_path, code, **environment):
        self.env = {"EAGLERAY_TMPDIR": str(tmp_path), **environment}
        self.folder = tmp_path
        self.path = tmp_path / "program.py"
        self.path.write_text(code)
        self.program = subprocess.Popen(
            [sys.executable, str(self.path)],
            env={**os.environ, "PYTHONPATH": PACKAGE, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def waiting(self):
        done = subprocess.run(
            [sys.executable, "-m", "eagleray", "debug", "--json"],
            env={**os.environ, "PYTHONPATH": PACKAGE, **self.env},
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout)

    def attach(self, *arguments):
        return pexpect.spawn(
            sys.executable,
            ["-m", "eagleray", "debug", *arguments],
            env={**os.environ, "PYTHONPATH": PACKAGE, "TERM": "dumb", **self.env},
            encoding="utf-8",
            timeout=PATIENCE_S,
            echo=False,
        )

    def ends(self):
        out, err = self.program.communicate(timeout=60)
        assert self.program.returncode == 0, err
        assert not list(self.folder.glob("session_2*/debug-*"))
        return out, err


@pytest.fixture
def session(tmp_path):
    made = []

    def make(code, **environment):
        made.append(Session(tmp_path, code, **environment))
        return made[-1]

    yield make
    for each in made:
        if each.program.poll() is None:
            each.program.kill()
            each.program.communicate()


BREAKS = """
import eagleray as ray

@ray.remote
def work(x):
    y = x * 2
    breakpoint()
    z = y + 1
    return z

@ray.remote
def after():
    return "after"

ray.init(num_cpus=1)
print(ray.get(work.remote(20)), ray.get(after.remote()))
"""


def test_breakpoint_in_a_task(session):
    run = session(BREAKS)
    (facts,) = wait_for(run.waiting)
    assert (facts["function"], facts["name"], facts["lineno"]) == ("work", "work", 7)
    assert facts["filename"] == str(run.path)
    child = run.attach()
    child.expect(re.escape("z = y + 1"))
    child.expect_exact("(Pdb) ")
    child.sendline("p y")
    child.expect_exact("40")
    child.expect_exact("(Pdb) ")
    child.sendline("!y = 1000")
    child.expect_exact("(Pdb) ")
    child.sendline("n")
    child.expect_exact("return z")
    child.expect_exact("(Pdb) ")
    child.sendline("c")
    child.expect_exact("it goes on")
    child.expect(pexpect.EOF)
    out, err = run.ends()
    assert out == "1001 after\n"
    assert f"`eagleray debug {facts['id']}` attaches" in err


def test_stepping_out_of_the_task_ends_the_session(session):
    run = session(BREAKS)
    wait_for(run.waiting)
    child = run.attach()
    for command in ("n", "n", "n", "n"):
        child.expect_exact("(Pdb) ")
        child.sendline(command)
        if child.expect_exact(["it goes on", "->"]) == 0:
            break
    assert run.ends()[0] == "41 after\n"


def test_quit_fails_the_task(session):
    run = session(
        BREAKS.replace(
            "print(ray.get(work",
            "try:\n    ray.get(work.remote(1))\nexcept Exception as e:\n"
            "    print(type(e).__name__)\nprint(0 and ray.get(work",
        )
    )
    wait_for(run.waiting)
    child = run.attach()
    child.expect_exact("(Pdb) ")
    child.sendline("q")
    child.expect_exact("it goes on")
    assert "BdbQuit" in run.ends()[0]


def test_breakpoints_keep_the_session(session):
    run = session(
        """
import eagleray as ray

@ray.remote
class Actor:
    def loop(self):
        breakpoint()
        total = 0
        for i in range(3):
            total += i
        return total

ray.init(num_cpus=1)
print(ray.get(Actor.remote().loop.remote()))
"""
    )
    (facts,) = wait_for(run.waiting)
    assert facts["name"] == "Actor"
    child = run.attach(facts["id"])
    child.expect_exact("(Pdb) ")
    child.sendline("b 10")
    child.expect_exact("Breakpoint 1")
    for i in range(3):
        child.expect_exact("(Pdb) ")
        child.sendline("c")
        child.expect_exact("total += i")
        child.expect_exact("(Pdb) ")
        child.sendline("p 100 + i")
        child.expect_exact(str(100 + i))
    child.expect_exact("(Pdb) ")
    child.sendline("clear 1")
    child.expect_exact("(Pdb) ")
    child.sendline("c")
    child.expect_exact("it goes on")
    assert run.ends()[0] == "3\n"


def test_leaving_and_coming_back(session):
    run = session(BREAKS)
    wait_for(run.waiting)
    child = run.attach()
    child.expect_exact("(Pdb) ")
    child.sendeof()
    child.expect_exact("left waiting")
    child.expect(pexpect.EOF)
    wait_for(run.waiting)
    child = run.attach()
    child.expect_exact("(Pdb) ")
    child.sendline("p y")
    child.expect_exact("40")
    child.expect_exact("(Pdb) ")
    child.sendline("c")
    child.expect_exact("it goes on")
    assert run.ends()[0] == "41 after\n"


FOLLOWED = """
import eagleray as ray

@ray.remote
def inner(x):
    y = x + 1
    return y

@ray.remote
def outer():
    breakpoint()
    a = ray.get(inner.remote(1))
    b = ray.get(inner.remote(10))
    return a + b

@ray.remote
def fails():
    breakpoint()
    raise ValueError("no")

ray.init(num_cpus=2)
def main():
    if FAILS:
        try:
            ray.get(fails.remote())
        except ValueError:
            print("failed")
        return
    total = ray.get(outer.remote())
    print(total)
main()
"""


def test_following_a_call_and_its_result(session):
    run = session(FOLLOWED.replace("FAILS", "False"))
    wait_for(run.waiting)
    child = run.attach()

    def says(text, command):
        child.expect_exact(text)
        child.expect_exact("(Pdb) ")
        child.sendline(command)

    says("a = ray.get(inner.remote(1))", "remote")
    says("y = x + 1", "p x * 100")
    says("100", "get")  # inner's result: outer
    says("b = ray.get(inner.remote(10))", "p a")
    says("2", "remote")
    says("y = x + 1", "c")
    child.expect_exact("it goes on")
    child.expect(pexpect.EOF)
    assert run.ends()[0] == "13\n"


def test_a_result_is_followed_to_the_driver(session):
    run = session(FOLLOWED.replace("FAILS", "False"))
    wait_for(run.waiting)
    child = run.attach()
    child.expect_exact("(Pdb) ")
    child.sendline("get")
    child.expect_exact("print(total)")
    child.expect_exact("(Pdb) ")
    child.sendline("!total = 7")
    child.expect_exact("(Pdb) ")
    child.sendline("c")
    child.expect(pexpect.EOF)
    assert run.ends()[0] == "7\n"


@pytest.mark.parametrize("command", ["remote", "get"])
def test_where_there_is_nothing_to_follow_the_debugger_ends(session, command):
    run = session(FOLLOWED.replace("FAILS", "True"))
    wait_for(run.waiting)
    child = run.attach()
    child.expect_exact("(Pdb) ")
    child.sendline(command)
    child.expect(pexpect.EOF)
    assert run.ends()[0] == "failed\n"


def test_several_wait(session):
    run = session(
        BREAKS.replace("num_cpus=1", "num_cpus=2").replace(
            "print(ray.get(work.remote(20)), ", "print(ray.get([work.remote(1), work.remote(2)]), "
        )
    )
    found = wait_for(lambda: len(found := run.waiting()) == 2 and found)
    child = run.attach()
    child.expect_exact(f"0: {found[0]['id']}")
    child.expect_exact("which")
    child.sendline("1")
    for each in (None, found[0]["id"]):
        child = child if each is None else run.attach(each)
        child.expect_exact("(Pdb) ")
        child.sendline("c")
        child.expect_exact("it goes on")
    assert run.ends()[0] == "[3, 5] after\n"


def test_what_a_killed_worker_has_left_is_removed(session, tmp_path):
    run = session(BREAKS)
    (facts,) = wait_for(run.waiting)
    run.program.kill()
    wait_for(lambda: not os.path.exists(f"/proc/{facts['pid']}"))
    assert run.waiting() == []
    assert not list(tmp_path.glob("session_2*/debug-*"))


def test_nothing_waits(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "eagleray", "debug", "--temp-dir", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": PACKAGE},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "nothing waits" in done.stderr


def test_a_task_that_waits_can_be_cancelled(session, tmp_path):
    os.mkfifo(tmp_path / "gate")
    run = session(
        """
import os
import eagleray as ray

@ray.remote
def work():
    breakpoint()

@ray.remote
def after():
    return "after"

ray.init(num_cpus=1)
ref = work.remote()
with open(os.environ["GO"]) as gate:  # a pipe: opens when the test writes
    gate.read()
ray.cancel(ref)
try:
    ray.get(ref)
except ray.exceptions.TaskCancelledError:
    print("cancelled", ray.get(after.remote()))
""",
        GO=str(tmp_path / "gate"),
    )
    wait_for(run.waiting)
    (tmp_path / "gate").write_text("go")
    assert run.ends()[0] == "cancelled after\n"


POST_MORTEM = """
import eagleray as ray

@ray.remote
def fails(x):
    y = x * 2
    raise ValueError(f"no {y}")

@ray.remote
class Actor:
    def fails(self):
        return {}["missing"]

ray.init(num_cpus=1)
for call in (lambda: fails.remote(4), lambda: Actor.remote().fails.remote()):
    try:
        ray.get(call())
    except (ValueError, KeyError) as error:
        print(type(error).__name__)
"""


def test_post_mortem(session):
    run = session(POST_MORTEM, RAY_DEBUG_POST_MORTEM="1")
    (facts,) = wait_for(run.waiting)
    assert facts["lineno"] == 7 and "ValueError: no 8" in facts["error"]
    child = run.attach()
    child.expect_exact("ValueError: no 8")
    child.expect_exact("(Pdb) ")
    child.sendline("p y")
    child.expect_exact("8")
    child.expect_exact("(Pdb) ")
    child.sendline("c")
    child.expect_exact("it goes on")
    (facts,) = wait_for(run.waiting)
    assert facts["name"] == "Actor" and "KeyError" in facts["error"]
    child = run.attach()
    child.expect_exact("(Pdb) ")
    child.sendline("q")
    child.expect(pexpect.EOF)
    out, _ = run.ends()
    assert out.splitlines() == ["RayTaskError(ValueError)", "RayTaskError(KeyError)"]


def test_without_a_wish_nobody_waits(session):
    run = session(POST_MORTEM)
    assert run.ends()[0].splitlines() == ["RayTaskError(ValueError)", "RayTaskError(KeyError)"]


def test_other_users_are_turned_away(tmp_path):
    """The socket lies in the session's directory, which nobody else can enter."""
    import socket

    from eagleray.util import rpdb

    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert rpdb._user_of(here) == os.geteuid()


def test_on_the_driver_it_is_pdb(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import eagleray as ray\n"
        "from eagleray.util import pdb, rpdb, ray_debugpy\n"
        "assert pdb is rpdb and ray_debugpy.set_trace\n"
        "x = 41 + 1\n"
        "rpdb.set_trace()\n"
        "print('done', x)\n"
    )
    child = pexpect.spawn(
        sys.executable,
        [str(program)],
        env={**os.environ, "PYTHONPATH": PACKAGE},
        encoding="utf-8",
        timeout=PATIENCE_S,
    )
    child.expect_exact("(Pdb) ")
    child.sendline("p x")
    child.expect_exact("42")
    child.expect_exact("(Pdb) ")
    child.sendline("c")
    child.expect_exact("done 42")
    child.expect(pexpect.EOF)


def test_debugpy(session):
    """An editor's side of it, in small."""
    pytest.importorskip("debugpy")
    import socket
    import threading

    run = session(BREAKS, RAY_DEBUG="1")
    lines, port = [], []

    def read():
        for line in run.program.stderr:
            lines.append(line)
            found = re.search(r"debugpy waits on 127\.0\.0\.1:(\d+)", line)
            if found:
                port.append(int(found[1]))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    wait_for(lambda: port)
    with socket.create_connection(("127.0.0.1", port[0]), timeout=60) as connection:
        stream = connection.makefile("rwb")
        sequence = iter(range(1, 100))

        def say(command, **arguments):
            body = json.dumps(
                {
                    "seq": next(sequence),
                    "type": "request",
                    "command": command,
                    "arguments": arguments,
                }
            ).encode()
            stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            stream.flush()

        def hear(kind, name):
            while True:
                size = 0
                while header := stream.readline().strip():
                    size = (
                        int(header.split(b":")[1])
                        if header.lower().startswith(b"content-length")
                        else size
                    )
                message = json.loads(stream.read(size))
                if message.get(kind) == name:
                    return message

        say("initialize", adapterID="test", clientID="test", linesStartAt1=True)
        hear("command", "initialize")
        say("attach", justMyCode=False)
        hear("event", "initialized")
        say("configurationDone")
        stopped = hear("event", "stopped")
        thread = stopped["body"]["threadId"]
        say("stackTrace", threadId=thread)
        frames = hear("command", "stackTrace")["body"]["stackFrames"]
        assert "work" in [frame["name"] for frame in frames][0]
        say("continue", threadId=thread)  # the worker may have ended before it has answered this
        out = run.program.stdout.read()
    assert out == "41 after\n"
    run.program.wait(60)
