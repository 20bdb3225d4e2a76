"""What workers print: on the driver's terminal, in the logs, at the end, beyond the limits."""

import contextlib
import json
import os
import re
import subprocess
import sys
import textwrap

import pytest
from _support import PEER, run_program, start_program

pytestmark = pytest.mark.skipif(PEER, reason="looks at our logs")

if not PEER:
    from eagleray._log_folder import LINES_MAX, FoldOptions, LogFolder

HEAD = """
import os, sys, time
import eagleray as ray
"""


def start(code, **environment):
    return start_program(HEAD + textwrap.dedent(code), **environment)


def run(code, **environment):
    return run_program(HEAD + textwrap.dedent(code), **environment)


def plain(text):
    """Lines without process numbers, sorted: workers print in no order."""
    return sorted(re.sub(r"pid=\d+", "pid=N", line) for line in text.splitlines())


def test_lines_say_whose_they_are():
    out, err = run(
        """
        ray.init(num_cpus=2)

        @ray.remote
        def speak():
            print("from a task")
            print("to stderr", file=sys.stderr)

        @ray.remote
        class Plain:
            def speak(self):
                print("from an actor")
                os.system("echo from its child")

        @ray.remote
        class Named:
            def __repr__(self):
                return "Named(7)"

            def speak(self):
                print("from an actor with a name")

        actors = [Plain.remote(), Named.remote()]
        ray.get([speak.remote(), *(actor.speak.remote() for actor in actors)])
        ray.get(speak.options(name="renamed").remote())
        """,
        RAY_DEDUP_LOGS="0",
    )
    assert plain(out) == sorted(
        [
            "(speak pid=N) from a task",
            "(renamed pid=N) from a task",
            "(Plain pid=N) from an actor",
            "(Plain pid=N) from its child",
            "(Named(7) pid=N) from an actor with a name",
        ]
    )
    assert plain(err) == sorted(["(speak pid=N) to stderr", "(renamed pid=N) to stderr"])


def test_equal_lines_of_several_workers_are_folded():
    code = """
        ray.init(num_cpus=4)

        @ray.remote
        class Worker:
            def speak(self, number):
                print("equal")
                print("number", number)

        ray.get([Worker.remote().speak.remote(i) for i in range(4)])
        """
    out, _ = run(code, RAY_DEDUP_LOGS_AGG_WINDOW_S="60")
    lines = plain(out)
    assert "(Worker pid=N) equal" in lines
    assert any("equal [repeated 3x across cluster]" in line for line in lines), out
    assert sum("number" in line for line in lines) == 4
    assert len(lines) == 6
    out, _ = run(code, RAY_DEDUP_LOGS="0")
    assert plain(out).count("(Worker pid=N) equal") == 4
    out, _ = run(code, RAY_DEDUP_LOGS_ALLOW_REGEX="^eq", RAY_DEDUP_LOGS_SKIP_REGEX="number [12]")
    assert plain(out).count("(Worker pid=N) equal") == 4
    assert sum("number" in line for line in plain(out)) == 2


@pytest.mark.parametrize("end", ["", "ray.shutdown()", "1 / 0", "sys.exit(3)"])
def test_nothing_is_lost_at_the_end(end):
    process = start(
        f"""
        ray.init(num_cpus=2)

        @ray.remote
        def speak(number):
            for i in range(1000):
                print("line", number, i)
            print("no end", number, end="")

        ray.get([speak.remote(i) for i in range(10)])
        {end}
        """
    )
    out, err = process.communicate(timeout=120)
    lines = {line.split(") ", 1)[1] for line in out.splitlines()}
    for number in range(10):
        assert sum(line.startswith(f"line {number} ") for line in lines) >= 999, err
    text = "".join(line.split(") ", 1)[1] for line in out.splitlines())
    assert all(f"no end {number}" in text for number in range(10))


@contextlib.contextmanager
def head_in(folder):
    """A head whose sessions are there; gives the environment of who connects to it."""
    environment = {"EAGLERAY_TMPDIR": str(folder)}
    command = [sys.executable, "-m", "eagleray"]
    full = {**os.environ, "PYTHONPATH": "python", **environment}
    subprocess.run([*command, "start", "--head", "--num-cpus=2"], env=full, check=True)
    try:
        yield environment
    finally:
        subprocess.run([*command, "stop"], env=full, check=True)


def test_nothing_is_lost_when_a_driver_leaves_a_cluster(tmp_path):
    with head_in(tmp_path) as environment:
        out, _ = run(
            """
            ray.init(address="auto")

            @ray.remote
            def speak():
                for i in range(2000):
                    print("line", i)
                print("no end", end="")

            ray.get(speak.remote())
            """,
            **environment,
        )
        assert len(out.splitlines()) == 2001 and out.splitlines()[-1].endswith("no end")


def test_nothing_is_lost_when_the_node_reads_late(tmp_path):
    with head_in(tmp_path) as environment:
        out, _ = run(
            """
            import signal, subprocess
            ray.init(address="auto")

            @ray.remote
            class Actor:
                def zygote(self):
                    return os.getppid()

                def speak(self):
                    print("spoken")

            actor = Actor.remote()
            with open(f"/proc/{ray.get(actor.zygote.remote())}/stat") as file:
                node = int(file.read().rsplit(")", 1)[1].split()[1])
            os.kill(node, signal.SIGSTOP)
            subprocess.Popen(["sh", "-c", f"sleep 2; kill -CONT {node}"])
            ray.get(actor.speak.remote())
            """,
            **environment,
        )
        assert plain(out) == ["(Actor pid=N) spoken"]


def test_log_to_driver_false_is_silent_and_the_log_has_it():
    out, err = run(
        """
        session = ray.init(num_cpus=1, log_to_driver=False)["session_dir"]

        @ray.remote
        def speak():
            print("only in the log")
            return os.getpid()

        pid = ray.get(speak.remote())
        ray.shutdown()
        with open(os.path.join(session, "logs", f"worker-{pid}.out")) as file:
            print(file.read(), end="")
        """
    )
    assert out == "only in the log\n" and err == ""


def test_environment_variables_are_checked_before_anything_starts():
    process = start(
        """
        try:
            ray.init(num_cpus=1)
        except ValueError as error:
            print(error, ray.is_initialized(), ray._state.state.node)
        """,
        RAY_DEDUP_LOGS_SKIP_REGEX="(",
    )
    out, err = process.communicate(timeout=60)
    assert "RAY_DEDUP_LOGS_SKIP_REGEX='('" in out and out.endswith("False None\n"), err
    out, _ = run(
        """
        ray.init(num_cpus=1)
        ray.get(ray.remote(lambda: print("not shown")).remote())
        """,
        RAY_LOG_TO_DRIVER="0",
        RAY_DEDUP_LOGS_SKIP_REGEX="(",
    )
    assert out == ""


def test_an_endless_line_and_a_flood_leave_the_others_alone():
    out, err = run(
        """
        ray.init(num_cpus=2)

        @ray.remote
        def endless():
            for _ in range(1000):
                sys.stdout.write("x" * 100_000)

        @ray.remote
        def plus(x):
            return x + 1

        ref = endless.remote()
        assert ray.get([plus.remote(i) for i in range(1000)]) == list(range(1, 1001))
        ray.get(ref)
        """
    )
    lines = [line for line in out.splitlines() if line]
    assert lines and max(map(len, lines)) < 70_000  # bounded, and shown in parts
    assert "are not shown, too many came at once; see" in err


def test_output_that_is_no_text():
    out, _ = run(
        """
        ray.init(num_cpus=1)

        @ray.remote
        def speak():
            os.write(1, b"\\xff\\x00 bytes\\n")
            print("caf\u00e9 \U0001f600")

        ray.get(speak.remote())
        """,
        PYTHONIOENCODING="ascii",
    )
    assert "\\xe9" in out and " bytes" in out


def test_what_a_module_prints_while_it_is_imported(tmp_path):
    (tmp_path / "talks.py").write_text("print('imported')\ndef work():\n    return 7\n")
    out, _ = run(
        """
        sys.path.append(os.environ["WHERE"])
        ray.init(num_cpus=1)
        import talks

        # In one piece: print() writes its line's end by itself, and another thread may print between.
        sys.stdout.write(f"{ray.get(ray.remote(talks.work).remote())}\\n")
        """,
        WHERE=str(tmp_path),
    )
    assert plain(out) == ["(work pid=N) imported", "7", "imported"]


def test_a_child_of_a_task_prints():
    out, _ = run(
        """
        ray.init(num_cpus=1)

        @ray.remote
        def work():
            pid = os.fork()
            if pid == 0:
                print("in the child", flush=True)
                os._exit(0)
            os.waitpid(pid, 0)

        ray.get(work.remote())
        """
    )
    assert plain(out) == ["(work pid=N) in the child"]


def test_ctrl_c_shows_what_was_printed():
    process = start(
        """
        ray.init(num_cpus=1)

        @ray.remote
        def speak():
            print("before")
            time.sleep(1000)

        print("waiting", flush=True)
        ray.get(speak.remote())
        """
    )
    assert process.stdout.readline() == "waiting\n"
    line = process.stdout.readline()
    process.send_signal(2)
    _, err = process.communicate(timeout=60)
    assert line.endswith("before\n") and "KeyboardInterrupt" in err


def test_old_sessions_are_removed(tmp_path):
    for number in range(20):
        logs = tmp_path / f"session_2020-01-01_00-00-{number:02}_4000000" / "logs"
        logs.mkdir(parents=True)
        (logs / "file").write_text("x")
    alive = tmp_path / f"session_2020-01-01_00-00-00_{os.getpid()}"
    alive.mkdir()
    run("ray.init(num_cpus=1)", EAGLERAY_TMPDIR=str(tmp_path))
    left = [name for name in os.listdir(tmp_path) if name.startswith("session_2020")]
    assert len(left) == 11 and alive.name in left


def sizes_of(directory, pattern):
    return {
        name: os.path.getsize(os.path.join(directory, name))
        for name in os.listdir(directory)
        if re.fullmatch(pattern, name)
    }


def test_limits_of_files_and_of_what_is_shown_are_settings(tmp_path):
    out, err = run(
        """
        ray.init(num_cpus=1, _system_config={
            "log_file_bytes_max": 100_000,
            "log_old_parts_max": 2,
            "log_shown_bytes_per_s": 256 << 10,
        })

        @ray.remote
        def flood():
            for number in range(1000):
                print(f"{number:999}")

        ray.get(flood.remote())
        """,
        EAGLERAY_TMPDIR=str(tmp_path),
        RAY_DEDUP_LOGS="0",
    )
    logs = tmp_path / "session_latest" / "logs"
    files = sizes_of(logs, r"worker-\d+\.out.*")
    assert len(files) == 3  # the current one and two old parts
    assert all(size <= 100_000 for size in files.values())
    assert len(out.splitlines()) < 1000 and "are not shown" in err


def test_limits_of_a_session_are_settings(tmp_path):
    run(
        """
        ray.init(num_cpus=1, _system_config={
            "log_file_bytes_max": 50_000,
            "log_old_parts_max": 1000,
            "log_session_bytes_max": 200_000,
        })

        @ray.remote(max_calls=1)
        def flood():
            for number in range(100):
                print(f"{number:999}")

        for _ in range(5):
            ray.get(flood.remote())
        """,
        EAGLERAY_TMPDIR=str(tmp_path),
    )
    files = sizes_of(tmp_path / "session_latest" / "logs", r"worker-.*")
    assert 100_000 < sum(files.values()) <= 200_000


def test_limits_of_ended_sessions_are_settings(tmp_path):
    for number in range(5):
        (tmp_path / f"session_2020-01-01_00-00-{number:02}_4000000").mkdir()
    large = tmp_path / "session_2020-01-01_00-00-03_4000000" / "file"
    large.write_bytes(bytes(9 << 20))

    def left(**environment):
        run("ray.init(num_cpus=1)", EAGLERAY_TMPDIR=str(tmp_path), **environment)
        return sorted(n[25:27] for n in os.listdir(tmp_path) if n.startswith("session_2020"))

    assert left(EAGLERAY_SESSIONS_MAX="4") == ["01", "02", "03", "04"]
    assert left(EAGLERAY_SESSIONS_BYTES_MAX=str(8 << 20)) == ["04"]  # the older ones go with it


def test_limits_of_the_programs_logs_are_settings(tmp_path):
    run(
        """
        import socket
        ray.init(num_cpus=1, _system_config={
            "program_log_bytes_max": 1024,
            "program_log_old_files_max": 2,
        })
        for _ in range(100):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(ray._state.state.node.socket_path)
                client.sendall(bytes(8) + b"junk")  # the node says that it cuts it off
                client.recv(1)
        """,
        EAGLERAY_TMPDIR=str(tmp_path),
    )
    files = sizes_of(tmp_path / "session_latest" / "logs", r"node.*\.log")
    assert len(files) == 3 and all(size <= 1024 for size in files.values()), files


def test_nothing_wakes_while_nothing_is_printed():
    """The driver's log thread sleeps until there is something."""
    out, _ = run(
        """
        import threading
        ray.init(num_cpus=1)
        thread = next(t for t in threading.enumerate() if t.name == "eagleray-logs")

        def switches():
            with open(f"/proc/self/task/{thread.native_id}/status") as file:
                return next(int(l.split()[1]) for l in file if l.startswith("voluntary"))

        never = ray.remote(lambda: time.sleep(1000)).remote()
        before = None
        while before != (before := switches()):  # it has begun, and sleeps
            ray.wait([never], timeout=0.5)
        ray.wait([never], timeout=1)
        print(switches() - before)
        """
    )
    assert int(out) <= 2


def fold(*lines, **options):
    """What LogFolder prints for (time, process, line)."""
    folder = LogFolder(FoldOptions(**options))
    out = [text for now, pid, line in lines for _, text in folder.feed(now, pid, False, "f", line)]
    return out, folder


def test_folding_counts_within_the_window():
    out, folder = fold((0, 1, "a"), (1, 2, "a"), (2, 3, "a"), (2, 2, "b"))
    assert out == ["(f pid=1) a", "(f pid=2) b"]
    assert folder.next_flush(2) == 3
    assert folder.flush(4.9) == []
    ((error, line),) = folder.flush(5)
    assert not error and line.startswith("(f pid=3) a [repeated 2x across cluster]")
    assert folder.next_flush(5) is None
    assert [line for _, line in folder.feed(6, 1, False, "f", "a\n")] == ["(f pid=1) a"]


def test_one_repetition_is_printed_as_it_is_and_a_worker_may_repeat_itself():
    out, folder = fold((0, 1, "a"), (0, 1, "a"), (1, 2, "a"))
    assert out == ["(f pid=1) a"] * 2
    assert folder.flush(9) == [(False, "(f pid=2) a")]


def test_numbers_differ_and_streams_are_apart():
    out, folder = fold((0, 1, "loss 1"), (0, 2, "loss 2"), (0, 3, ""), (0, 4, ""))
    assert out == ["(f pid=1) loss 1", "(f pid=2) loss 2", "(f pid=3) ", "(f pid=4) "]
    assert folder.feed(0, 5, True, "f", "loss 1") == [(True, "(f pid=5) loss 1")]


def test_folding_remembers_so_many_lines_and_no_more():
    out, folder = fold((0, 1, "first"), (0, 2, "first"))
    more = [line for i in range(LINES_MAX) for _, line in folder.feed(0, 1, False, "f", f"{i}")]
    assert len(more) == LINES_MAX + 1  # what was counted of the first is not lost
    assert len(folder._seen) == LINES_MAX


def test_colours():
    (first,), _ = fold((0, 1, "a"), colour=True)
    assert first == "\x1b[36m(f pid=1)\x1b[0m a"
    both, _ = fold((0, 1, "a"), (0, 2, "b"), colour=True, colour_by_process=True)
    assert both[0].split("m")[0] != both[1].split("m")[0]


@pytest.mark.parametrize(
    "name, value", [("RAY_DEDUP_LOGS_SKIP_REGEX", "("), ("RAY_DEDUP_LOGS_AGG_WINDOW_S", "soon")]
)
def test_settings_that_cannot_be_understood_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        FoldOptions.of({name: value}, terminal=False)


def test_json_logs():
    out, err = run(
        """
        import logging
        session = ray.init(num_cpus=1, logging_config=ray.LoggingConfig(
            encoding="JSON", log_level="INFO", additional_log_standard_attrs=["name"]))

        @ray.remote
        def work():
            logging.getLogger("mine").info("in a task", extra={"step": 3})
            logging.getLogger("mine").debug("too little")
            return ray.get_runtime_context().get_task_id()

        @ray.remote
        class Actor:
            def work(self):
                try:
                    1 / 0
                except ZeroDivisionError:
                    logging.exception("in an actor")
                return ray.get_runtime_context().get_actor_id()

        logging.info("in the driver")
        print(ray.get(work.remote()), ray.get(Actor.options(name="it").remote().work.remote()))
        print(ray.get_runtime_context().get_job_id())
        """
    )
    (task, actor), (job,) = (line.split() for line in out.splitlines())
    lines = [json.loads(line[line.index("{") :]) for line in err.splitlines()]
    by_message = {line["message"]: line for line in lines}
    assert set(by_message) == {"in a task", "in an actor", "in the driver"}
    for line in lines:
        assert line["job_id"] == job and line["worker_id"] and line["node_id"]
        assert line["levelname"] and line["asctime"] and line["lineno"] > 0 and line["filename"]
    assert by_message["in a task"]["task_id"] == task
    assert by_message["in a task"]["step"] == 3 and by_message["in a task"]["name"] == "mine"
    assert by_message["in a task"]["task_name"] == "work"
    assert by_message["in an actor"]["actor_id"] == actor
    assert by_message["in an actor"]["actor_name"] == "it"
    assert "ZeroDivisionError" in by_message["in an actor"]["exc_text"]
    assert "task_id" not in by_message["in the driver"]


def test_levels_and_formats_reach_workers():
    code = """
        import logging
        ray.init(num_cpus=1, {})

        @ray.remote
        def work():
            logging.getLogger("eagleray").debug("of a worker")
            logging.getLogger("mine").info("of mine")

        ray.get(work.remote())
        logging.getLogger("eagleray").debug("of the driver")
        """
    arguments = "logging_level='debug', logging_format='<%(message)s>'"
    _, err = run(code.replace("{}", arguments))
    assert plain(err) == ["(work pid=N) <of a worker>", "<of the driver>"]
    assert run(code.replace("{}", "logging_level='warning'"))[1] == ""
    _, err = run(code.replace("{}", "logging_config=ray.LoggingConfig(log_level='DEBUG')"))
    assert "DEBUG" in err and " -- of a worker job_id=" in err and "of mine" in err


@pytest.fixture
def small_disk(tmp_path):
    """A directory that 4 MiB fill."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", tmp_path])
    if made.returncode:
        pytest.skip("cannot mount here")
    yield str(tmp_path)
    subprocess.run(["umount", "-l", tmp_path], check=True)


FILL = """
root = os.environ["EAGLERAY_TMPDIR"]

def fill():
    with open(f"{root}/filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError:
            pass
"""


def test_a_full_disk_stops_nothing_and_heals(small_disk):
    out, err = run(
        FILL
        + """
ray.init(num_cpus=2, _system_config={"log_session_bytes_max": 100_000})  # logs alone fill no disk

@ray.remote
def speak(number):
    for _ in range(200):
        print("x" * 100)
    return number

@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class Actor:
    def pid(self):
        return os.getpid()

def refused(make):
    try:
        make()
    except ray.exceptions.OutOfDiskError as error:
        assert "control.db" in str(error) and "full" in str(error)
        return True

early = Actor.options(name="early").remote()
pid = ray.get(early.pid.remote())
fill()
assert ray.get([speak.remote(i) for i in range(50)]) == list(range(50))
assert refused(lambda: ray.get(Actor.remote().pid.remote()))
assert refused(lambda: Actor.options(name="late").remote())
assert refused(lambda: ray.util.placement_group([{"CPU": 1}]))
os.kill(pid, 9)
assert ray.get(early.pid.remote()) != pid
assert ray.get(ray.get_actor("early").pid.remote())
assert ray.get([speak.remote(i) for i in range(50)]) == list(range(50))
os.unlink(f"{root}/filler")
deadline = time.monotonic() + 60
while refused(lambda: ray.get(Actor.options(name="later").remote().pid.remote())):
    assert time.monotonic() < deadline
assert ray.util.placement_group([{"CPU": 1}]).wait(60)
assert ray.get([speak.remote(i) for i in range(50)]) == list(range(50))
ray.kill(early)
""",
        EAGLERAY_TMPDIR=small_disk,
        RAY_DEDUP_LOGS="0",
    )
    assert len(out.splitlines()) == 150 * 200
    lost = [line for line in err.splitlines() if "No space left on device" in line]
    assert len(lost) == 1 and "worker-" in lost[0]
    assert "are refused until there is room" in err
    assert "control can write again" in err


def test_init_on_a_full_disk(small_disk):
    out, _ = run(
        FILL
        + """
fill()
try:  # at once, not when control has been tried often enough
    ray.init(num_cpus=1, _system_config={"control_starts_max": 1_000_000})
except ray.exceptions.OutOfDiskError as error:
    print("control.db" in str(error), ray.is_initialized())
os.unlink(f"{root}/filler")
ray.init(num_cpus=1)
print(ray.get(ray.remote(lambda: 7).remote()))
""",
        EAGLERAY_TMPDIR=small_disk,
    )
    assert out == "True False\n7\n"


def test_a_driver_on_a_full_disk_can_be_ended(small_disk):
    """Whatever it waits for."""
    process = start(
        FILL
        + """
import signal
ray.init(num_cpus=1)
node = ray._state.state.node.pid
with open(f"/proc/{node}/task/{node}/children") as file:
    for pid in file.read().split():
        with open(f"/proc/{pid}/comm") as comm:
            if comm.read().startswith("eagleray-contro"):
                os.kill(int(pid), signal.SIGSTOP)
print("waiting", flush=True)
ray.util.placement_group([{"CPU": 1}])
""",
        EAGLERAY_TMPDIR=small_disk,
    )
    assert process.stdout.readline() == "waiting\n"
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 15
