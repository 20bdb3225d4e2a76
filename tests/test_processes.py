"""What needs processes of its own: start, end, logs, signals, forks, the command line."""

import os
import signal
import textwrap

import pytest
from _support import PEER, alive, run_program, start_program, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="looks at our processes")


def session_processes(marker):
    """Processes, workers included, that carry our marker in their environment."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if marker.encode() in file.read() and alive(int(name)):
                    found.append(int(name))
        except OSError:
            pass
    return found


ENDINGS = {
    "normal": "",
    "exception": "raise RuntimeError('end')",
    "os_exit": "import os; os._exit(3)",
    "sigkill": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "sigterm": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "sigint": "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "sigkill_node": "import os, signal; os.kill(ray._state.state.node.pid, signal.SIGKILL)",
    "sigkill_guard": "import os, signal; os.kill(ray._state.state.node.process.pid, signal.SIGKILL)",
    # Stopped first, so that none hears of another's end before its own.
    "sigkill_all": """
        import os, signal
        guard = ray._state.state.node.process.pid
        text = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True).stdout
        rows = [line.split(None, 2) for line in text.splitlines()[1:]]
        ours, grew = {guard}, True
        while grew:
            found = {int(pid) for pid, parent, _ in rows if int(parent) in ours} - ours
            ours, grew = ours | found, bool(found)
        doomed = [int(pid) for pid, _, args in rows if int(pid) in ours - {guard} and "sleep 1000" not in args]
        assert len(doomed) >= 5
        for sent in (signal.SIGSTOP, signal.SIGKILL):
            for pid in doomed:
                os.kill(pid, sent)
        os.kill(os.getpid(), signal.SIGKILL)""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_left_behind(ending, tmp_path):
    marker = f"EAGLERAY_MARK={tmp_path.name}-{os.getpid()}"
    name, value = marker.split("=")
    code = f"""
        import subprocess, eagleray as ray
        ray.init(num_cpus=2)

        @ray.remote
        def child():
            # Double-forked, in a session of its own: as hard to find as it gets.
            return subprocess.run(["sh", "-c", "setsid sleep 1000 & echo $!"], capture_output=False,
                                  stdout=subprocess.DEVNULL).returncode

        @ray.remote
        class Actor:
            def ping(self):
                return 1

        actor = Actor.remote()
        ray.get([child.remote(), actor.ping.remote()])
        hanging = [ray.remote(lambda: __import__("time").sleep(1000)).remote() for _ in range(3)]
        {textwrap.indent(textwrap.dedent(ENDINGS[ending]), " " * 8).strip()}
    """
    process = start_program(code, **{name: value})
    _, err = process.communicate(timeout=60)
    if ending == "sigkill_all":
        assert process.returncode == -signal.SIGKILL, err
    wait_for(lambda: not session_processes(marker))


def test_old_sessions_go(tmp_path):
    """The ten newest stay; none is looked at before init() returns, and each only once."""
    old = [tmp_path / f"session_2020-01-01_00-00-{second:02d}_{2**30}" for second in range(12)]
    for number, session in enumerate(old):
        (session / "logs").mkdir(parents=True)
        (session / "logs" / "a.log").write_bytes(b"x" * number)
    code = """
        import os, threading, eagleray as ray
        from eagleray import _old_sessions

        may, done, clean, bytes_in = threading.Event(), threading.Event(), _old_sessions.clean, _old_sessions._bytes_in
        def waits(*arguments):
            assert may.wait(60)
            clean(*arguments)
            done.set()
        def counts(path):
            print(os.path.basename(path))
            return bytes_in(path)
        _old_sessions.clean, _old_sessions._bytes_in = waits, counts
        ray.init(num_cpus=1)
        may.set()
        assert done.wait(60)
    """
    out, _ = run_program(code, EAGLERAY_TMPDIR=str(tmp_path))
    assert [session for session in old if session.exists()] == old[2:]
    assert out.split() == [session.name for session in reversed(old[2:])]
    assert [(s / ".bytes").read_text() for s in old[2:]] == [str(n) for n in range(2, 12)]
    out, _ = run_program(code, EAGLERAY_TMPDIR=str(tmp_path))  # the first program's is new
    assert len(out.split()) == 1 and out.strip() not in {session.name for session in old}
    assert [session for session in old if session.exists()] == old[3:]


def test_a_killed_node_is_a_typed_error():
    process = start_program(
        """
        import os, signal, eagleray as ray
        ray.init(num_cpus=1)
        ref = ray.remote(lambda: __import__("time").sleep(1000)).remote()
        os.kill(ray._state.state.node.pid, signal.SIGKILL)
        try:
            ray.get(ref)
        except ray.exceptions.LocalRayletDiedError:
            print("typed")
        """
    )
    out, err = process.communicate(timeout=60)
    assert "typed" in out, err


def test_a_killed_zygote_is_started_again():
    process = start_program(
        """
        import os, signal, subprocess, eagleray as ray
        ray.init(num_cpus=2)
        node = ray._state.state.node.pid

        @ray.remote
        class Counter:
            def pid(self):
                return os.getpid()

        @ray.remote
        def slow(started):
            open(started, "w").close()
            __import__("time").sleep(1)
            return 7

        once, again = Counter.remote(), Counter.options(max_restarts=1).remote()
        before = ray.get([once.pid.remote(), again.pid.remote()])
        started = os.path.join(ray._state.state.node.session_dir, "started")
        ref = slow.remote(started)
        while not os.path.exists(started):
            pass
        zygote = subprocess.run(["pgrep", "-P", str(node), "-f", "_zygote"], capture_output=True, text=True)
        os.kill(int(zygote.stdout), signal.SIGKILL)
        assert ray.get(ref) == 7
        try:
            ray.get(once.pid.remote())
        except ray.exceptions.ActorDiedError:
            print("died")
        assert ray.get(again.pid.options(max_task_retries=1).remote()) != before[1]
        print("restarted")
        """
    )
    out, err = process.communicate(timeout=60)
    assert "died" in out and "restarted" in out, err


def test_a_zygote_that_dies_with_a_report_leaves_the_child_to_be_reaped():
    process = start_program(
        """
        import os
        from eagleray import _zygote

        class Node:
            def send(self, report):
                raise OSError("the zygote dies here")

        pid = os.fork()
        if pid == 0:
            os._exit(7)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        try:
            _zygote._report_ends(Node())
        except OSError:
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
    )
    out, err = process.communicate(timeout=60)
    assert out == "7\n", err


def test_a_zygote_reports_ends_as_waitpid_codes_them():
    process = start_program(
        """
        import os, signal
        from eagleray import _zygote

        class Node:
            def send(self, report):
                _, pid, status, kind = _zygote._REPORT.unpack(report)
                print(chr(kind), pid == children[0], os.waitstatus_to_exitcode(status))
                children.pop(0)

        children = []
        for end in (lambda: os._exit(7), lambda: os.kill(os.getpid(), signal.SIGKILL)):
            children.append(os.fork())
            if children[-1] == 0:
                end()
            os.waitid(os.P_PID, children[0], os.WEXITED | os.WNOWAIT)
            _zygote._report_ends(Node())
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("all reaped")
        """
    )
    out, err = process.communicate(timeout=60)
    assert out.splitlines() == ["X True 7", "X True -9", "all reaped"], err


def test_worker_output_reaches_the_terminal():
    process = start_program(
        """
        import sys, eagleray as ray
        ray.init(num_cpus=1)

        @ray.remote
        def speak():
            print("to stdout")
            print("to stderr", file=sys.stderr)

        ray.get(speak.remote())
        """
    )
    out, err = process.communicate(timeout=60)
    assert "to stdout" in out and "pid=" in out
    assert "to stderr" in err


def test_ctrl_c_interrupts_a_get():
    process = start_program(
        """
        import sys, eagleray as ray
        ray.init(num_cpus=1)
        ref = ray.remote(lambda: __import__("time").sleep(1000)).remote()
        try:
            print("waiting", flush=True)
            ray.get(ref)
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert process.stdout.readline().strip() == "waiting"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "interrupted" in out, err


def test_ctrl_c_interrupts_a_get_while_another_thread_waits():
    process = start_program(
        """
        import os, sys, threading, eagleray as ray
        ray.init(num_cpus=2)
        forever = ray.remote(lambda: __import__("time").sleep(1000))
        first, second = forever.remote(), forever.remote()
        threading.Thread(target=ray.get, args=[first], daemon=True).start()
        try:
            print("waiting", flush=True)
            ray.get(second)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            os._exit(0)
        """
    )
    assert process.stdout.readline().strip() == "waiting"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "interrupted" in out, err


def test_a_program_ends_while_its_threads_wait():
    code = """
        import threading, eagleray as ray
        ray.init(num_cpus=2)

        @ray.remote
        def number():
            return 7

        assert number.remote().future().result() == 7  # a thread of ours is in the core
        forever = ray.remote(lambda: __import__("time").sleep(1000)).remote()
        threads = [threading.Thread(target=ray.get, args=[forever], daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        ray.get(number.remote())
    """
    for _ in range(3):
        process = start_program(code)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
    for _ in range(10):  # the same for those that shutdown() wakes
        process = start_program(code.rstrip() + "\n        ray.shutdown()\n")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err


def test_a_signal_at_any_moment_ends_a_wait():
    # Between the look for signals and the sleep, too: there one would be seen when the wait ends only.
    process = start_program(
        """
        import random, signal, eagleray as ray
        ray.init(num_cpus=1)
        ref = ray.remote(lambda: __import__("time").sleep(1000)).remote()

        class Rung(Exception):
            pass

        def ring(*_):
            raise Rung

        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGALRM, lambda *_: None)  # one that ends nothing, then
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        try:
            ray.get(ref, timeout=0.2)
        except ray.exceptions.GetTimeoutError:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert signal.set_wakeup_fd(-1) == -1
        signal.signal(signal.SIGALRM, ring)
        draw = random.Random(1)
        for _ in range(500):
            try:
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-6, 3e-4))
                ray.get(ref, timeout=60)
            except Rung:
                continue
        print("all seen")
        """
    )
    out, err = process.communicate(timeout=100)
    assert "all seen" in out, err


def test_nothing_listens_on_the_network():
    process = start_program(
        """
        import os, eagleray as ray
        ray.init(num_cpus=1)
        pids = ray.get(ray.remote(lambda: os.getpid()).remote()), os.getpid(), ray._state.state.node.pid
        inodes = set()
        for pid in pids:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
                except OSError:
                    pass
        bound = [line.split() for f in ("tcp", "tcp6") for line in open(f"/proc/net/{f}").readlines()[1:]]
        assert not [b for b in bound if f"socket:[{b[9]}]" in inodes]
        print("silent")
        """
    )
    out, err = process.communicate(timeout=60)
    assert "silent" in out, err


def test_a_fork_reconnects():
    process = start_program(
        """
        import os, eagleray as ray
        ray.init(num_cpus=2)
        f = ray.remote(lambda x: x + 1)
        assert ray.get(f.remote(1)) == 2
        pid = os.fork()
        if pid == 0:
            os._exit(0 if not ray.is_initialized() else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert ray.get(f.remote(2)) == 3
        print("fine")
        """
    )
    out, err = process.communicate(timeout=60)
    assert "fine" in out, err


def test_init_twice():
    process = start_program(
        """
        import eagleray as ray
        ray.init(num_cpus=1)
        ray.init(ignore_reinit_error=True)
        try:
            ray.init()
        except RuntimeError:
            print("refused")
        ray.shutdown()
        ray.shutdown()
        ray.init(num_cpus=1)
        assert ray.get(ray.remote(lambda: 1).remote()) == 1
        print("again")
        """
    )
    out, err = process.communicate(timeout=60)
    assert "refused" in out and "again" in out, err


def test_another_program_joins_a_cluster_at_its_address(tmp_path):
    other = """
        import sys, eagleray as ray
        ray.init(address=sys.argv[1], namespace="shared")
        print(ray.get(ray.get_actor("kept").add.remote(2)))
        ray.shutdown()
    """
    out, _ = run_program(f"""
        import subprocess, sys, textwrap, eagleray as ray
        context = ray.init(num_cpus=1, namespace="shared")
        @ray.remote
        class Kept:
            def __init__(self): self.sum = 0
            def add(self, number):
                self.sum += number
                return self.sum
        kept = Kept.options(name="kept").remote()
        code = textwrap.dedent({other!r})
        subprocess.run([sys.executable, "-c", code, context.address_info["address"]], check=True)
        print(ray.get(kept.add.remote(3)))
    """)
    assert out.split() == ["2", "5"]


@pytest.mark.parametrize("kind", ["gone", "file"])
def test_no_cluster_at_an_address_is_a_connection_error(kind, tmp_path):
    path = tmp_path / kind
    if kind == "file":
        path.touch()
    out, _ = run_program(
        """
        import sys, eagleray as ray
        try:
            ray.init(address=sys.argv[1])
        except ConnectionError as error:
            print(error)
        """,
        path,
    )
    assert str(path) in out and ("has ended" if kind == "gone" else "no cluster") in out


def test_a_worker_that_leaves_waits_until_its_results_are_taken(tmp_path):
    """Which its caller does not, while it is stopped."""
    process = start_program(
        """
        import os, subprocess, sys
        import eagleray as ray
        ray.init(num_cpus=1)

        @ray.remote(max_calls=1, max_retries=0, num_returns=40)
        def much(began):  # more than a link holds
            open(began, "w").close()
            return [bytes(60_000)] * 40

        began = sys.argv[1]
        refs = much.remote(began)
        stops = f"until [ -e {began} ]; do sleep 0.01; done; kill -STOP $0; sleep 2; kill -CONT $0"
        subprocess.Popen(["sh", "-c", stops, str(os.getpid())])
        print(sum(map(len, ray.get(refs))))
        """,
        tmp_path / "began",
    )
    out, err = process.communicate(timeout=60)
    assert out == f"{40 * 60_000}\n", err
