"""`eagleray list | get | summary | memory | logs | timeline | explain`."""

import glob
import json
import os
import socket
import subprocess
import sys
import threading

import pytest
from _support import PEER, ray, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="our command line")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A cluster with a driver, and how to run the command line beside it."""
    from eagleray import _daemon

    root = tmp_path_factory.mktemp("cluster")
    os.environ["EAGLERAY_TMPDIR"] = str(root)
    _daemon.start_head(num_cpus=2, temp_dir=str(root))
    ray.init(address="auto")
    yield root
    ray.shutdown()
    _daemon.stop(str(root))
    del os.environ["EAGLERAY_TMPDIR"]


def eagleray(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "eagleray", *arguments], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@ray.remote
def f(x):
    return x


@ray.remote(max_retries=0)
def bad():
    raise ValueError("no such luck")


def test_list_in_all_formats(program):
    kept = f.options(name="listed").remote(1)
    ray.get(kept)
    status, out, err = eagleray("list", "tasks", "--format", "json", "--filter", "NAME=listed")
    assert (status, err) == (0, "")
    row = json.loads(out)[0]
    assert row["name"] == "listed" and row["state"] == "FINISHED" and "events" not in row
    status, out, _ = eagleray("list", "tasks", "--filter", "name=listed")
    assert status == 0 and "TASK_ID" in out and kept.task_id().hex() in out and "Total: 1" in out
    status, out, _ = eagleray("list", "tasks", "--filter", "name=listed", "--detail")
    assert status == 0 and out.startswith("---\n-   task_id: ") and "PENDING_ARGS_AVAIL" in out
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(out)[0]["worker_pid"] == row["worker_pid"]


def test_get_summary_and_explain(program):
    with pytest.raises(ValueError):
        ray.get(bad.remote())
    _, out, _ = eagleray("list", "tasks", "--filter", "name=bad", "--format", "json")
    task = json.loads(out)[0]["task_id"]
    status, out, _ = eagleray("get", "tasks", task, "--format", "json")
    assert status == 0 and "no such luck" in json.loads(out)[0]["error_message"]
    status, out, _ = eagleray("summary", "tasks")
    assert status == 0 and "bad" in out and "FAILED" in out
    status, out, _ = eagleray("summary", "objects", "--format", "json")
    assert status == 0 and json.loads(out)["summary_by"] == "callsite"
    status, out, _ = eagleray("explain", task)
    assert status == 0 and "FAILED" in out and "ran " in out
    status, out, _ = eagleray("explain", task, "--json")
    assert status == 0 and json.loads(out)["what"] == "task bad"


def test_a_limit_is_said(program):
    ray.get([f.remote(i) for i in range(5)])
    status, out, err = eagleray("list", "tasks", "--limit", "2")
    total = int(out.partition("Total: ")[2].split()[0])
    assert status == 0 and total >= 5
    assert err == f"eagleray: 2 of {total} are listed (--limit 2)\n"
    status, out, err = eagleray("list", "tasks", "--limit", "2", "--format", "json")
    assert len(json.loads(out)) == 2 and f"2 of {total} are listed" in err


def test_what_has_not_come_yet_has_no_time(program):
    (job,) = json.loads(eagleray("list", "jobs", "--detail", "--format", "json")[1])
    assert job["end_time"] is None and job["start_time"].startswith("20")
    (node,) = json.loads(eagleray("list", "nodes", "--detail", "--format", "json")[1])
    assert node["end_time_ms"] is None


def test_commands_that_look_are_not_seen(program):
    """Among jobs, workers and events."""
    for what in ("jobs", "workers", "cluster-events"):
        rows = json.loads(eagleray("list", what, "--format", "json")[1])
        more = json.loads(eagleray("list", what, "--format", "json")[1])
        assert rows and rows == more
    assert "eagleray list" not in eagleray("list", "jobs")[1]


def test_memory_says_nothing_of_leaks_that_it_has_not_looked_for(program):
    mine = ray.put(b"z" * 2_700_153)
    status, out, _ = eagleray("memory", "--stats-only")
    assert status == 0 and "Mem Used by Objects" in out and "Leaks" not in out
    assert "e+06" not in out and mine.hex() not in out


def test_memory_names_the_driver(program):
    mine = ray.put(b"z" * 10_000)
    status, out, _ = eagleray("memory", "--units", "KB")
    assert status == 0 and mine.hex() in out and str(os.getpid()) in out
    assert "mine in test_memory_names_the_driver()" in out
    status, out, _ = eagleray("memory", "--format", "json")
    assert {row["object_id"] for row in json.loads(out)} >= {mine.hex()}


def test_logs(program):
    @ray.remote
    def says():
        print("hello there")
        return os.getpid()

    pid = ray.get(says.remote())
    status, out, _ = eagleray("logs")
    assert status == 0 and f"worker-{pid}.out" in out
    assert eagleray("logs", f"worker-{pid}.out", "--tail", "1")[1] == "hello there\n"
    assert eagleray("logs", "worker", "--pid", str(pid))[1].endswith("hello there\n")
    status, _, err = eagleray("logs", "actor", "--id", "00" * 16)
    assert status == 1 and "No process is known" in err


def test_timeline(program, tmp_path):
    ray.get(f.remote(1))
    path = tmp_path / "trace.json"
    status, out, _ = eagleray("timeline", str(path))
    assert status == 0 and str(path) in out
    assert any(span["name"] == "task::f" for span in json.loads(path.read_text()))


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["list", "nothing"], 2, "nothing"),
        (["logs", "node.log", "--follow", "--interval", "-1"], 2, "--interval"),
        (["list", "tasks", "--filter", "state"], 2, "write key=value"),
        (["list", "tasks", "--filter", "state==FAILED"], 2, "write key=value"),
        (
            ["timeline", "/no/such/folder/x.json"],
            1,
            "/no/such/folder/x.json cannot be written: No such",
        ),
        (["list", "jobs", "--address", "nonsense"], 1, "is not supported"),
        (["list", "tasks", "--filter", "nokey=1"], 2, "Available filter keys are"),
        (["get", "actors", "00" * 16], 1, "not found in the cluster"),
        (["explain", "zz"], 1, "is no id"),
        (["logs", "no-such-file.log"], 1, "no log is named like"),
    ],
)
def test_what_is_wrong_is_said(program, arguments, status, says):
    done = eagleray(*arguments)
    assert done[0] == status and says in done[2] and "Traceback" not in done[2]


def test_events_of_environments_are_one_line_each(program):
    env = {"working_dir": "http://me:secret@127.0.0.1:9/x.zip"}
    with pytest.raises(ray.exceptions.RuntimeEnvSetupError):
        ray.get(f.options(runtime_env=env).remote(1))
    status, out, _ = eagleray("list", "cluster-events", "--filter", "severity=ERROR")
    rows = [line for line in out.splitlines() if "environment failed" in line]
    assert status == 0 and rows and "secret" not in out
    assert '{"working_dir": "http://****@127.0.0.1:9/x.zip"}' in rows[-1]
    assert "could not be fetched" in rows[-1]


def test_following_ends_with_the_cluster(tmp_path, monkeypatch):
    from eagleray import _daemon

    monkeypatch.setenv("EAGLERAY_TMPDIR", str(tmp_path))
    _daemon.start_head(num_cpus=1, temp_dir=str(tmp_path))
    command = [
        sys.executable,
        "-m",
        "eagleray",
        "logs",
        "node.log",
        "--follow",
        "--interval",
        "0.1",
    ]
    follows = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def joined():
        logs = glob.glob(f"{tmp_path}/session_2*/history/*.events")
        return any(f'"pid":{follows.pid}' in open(path).read() for path in logs)

    wait_for(joined)
    _daemon.stop(str(tmp_path))
    said = follows.communicate(timeout=60)[1]
    assert said.startswith("Error: ") and "ended" in said and len(said.splitlines()) == 1
    assert follows.returncode == 1


def test_a_cluster_that_ends_while_a_command_connects_is_one_line(tmp_path, monkeypatch):
    """Here somebody in its place who hangs up."""
    from eagleray import _daemon

    monkeypatch.setenv("EAGLERAY_TMPDIR", str(tmp_path))
    path = _daemon.start_head(num_cpus=1, temp_dir=str(tmp_path)).socket_path
    os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(path)
        door.listen()
        hangs_up = threading.Thread(target=lambda: door.accept()[0].close())
        hangs_up.start()
        command = [sys.executable, "-m", "eagleray", "list", "tasks"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        hangs_up.join()
    _daemon.stop(str(tmp_path))
    said = done.stderr
    assert said.startswith("Error: ") and "ended" in said and len(said.splitlines()) == 1
    assert done.returncode == 1


def test_no_cluster_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "eagleray", "list", "tasks"],
        capture_output=True,
        text=True,
        env={**os.environ, "EAGLERAY_TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
