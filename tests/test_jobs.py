"""Jobs: what is submitted to a cluster of `eagleray start --head`, over HTTP, as the command line and Ray's own client
do it."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from _support import PEER, alive, wait_for
from eagleray import _node, _token
from eagleray.exceptions import AuthenticationError
from eagleray.job_submission import (
    JobDetails,
    JobErrorType,
    JobInfo,
    JobStatus,
    JobSubmissionClient,
    JobType,
    _http,
)
from eagleray.job_submission._http import Handler, Server

pytestmark = pytest.mark.skipif(PEER, reason="our clusters")
ROOT = Path(__file__).parents[1]
PYTHON = sys.executable


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as short:  # tmp_path is too long for sockets
        yield short


def start(folder, *options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "EAGLERAY_TMPDIR": folder}
    environment["EAGLERAY_JOBS_IDLE_S"] = "2"
    done = subprocess.run(
        [PYTHON, "-m", "eagleray", "start", "--head", "--num-cpus", "2", *options],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def command(folder, *arguments, **variables):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "EAGLERAY_TMPDIR": folder}
    done = subprocess.run(
        [PYTHON, "-m", "eagleray", *arguments],
        capture_output=True,
        text=True,
        env={**environment, **variables},
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def head(folder):
    start(folder, "--resources", '{"disk": 1}')
    yield folder
    command(folder, "stop", "--force")


@pytest.fixture
def client(head, monkeypatch):
    monkeypatch.setenv("EAGLERAY_TMPDIR", head)
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return JobSubmissionClient()


def ended(client, job):
    """Its details once it has."""
    wait_for(lambda: client.get_job_status(job).is_terminal())
    return client.get_job_info(job)


def log_has(client, job, text):
    wait_for(lambda: text in client.get_job_logs(job).splitlines())


def server_of(folder):
    """The process behind the end point, or None."""
    found = _node.find_running(folder)
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"--session-dir={found['session_dir']}".encode() in words and words[1] == b"-c":
            return int(name)
    return None


def test_a_job_from_beginning_to_end(client):
    job = client.submit_job(
        entrypoint="echo out; echo err >&2; echo $NAME",
        runtime_env={"env_vars": {"NAME": "value"}},
        metadata={"who": "me"},
    )
    info = ended(client, job)
    assert job.startswith("raysubmit_") and info.submission_id == job
    assert (info.status, info.type) == (JobStatus.SUCCEEDED, JobType.SUBMISSION)
    assert info.message == "Job finished successfully." and info.driver_exit_code == 0
    assert info.metadata == {"who": "me"} and info.runtime_env == {"env_vars": {"NAME": "value"}}
    assert info.start_time <= info.end_time and info.driver_info is None
    log = client.get_job_logs(job)
    assert log.splitlines()[1:] == ["out", "err", "value"]
    assert job in [each.submission_id for each in client.list_jobs()]
    assert client.delete_job(job)
    with pytest.raises(RuntimeError, match=f"404: Job {job} does not exist"):
        client.get_job_info(job)


PROGRAM = """
import json, os, sys
import eagleray as ray
ray.init()
context = ray.get_runtime_context()

@ray.remote
def seen():
    return os.environ["NAME"], os.getcwd()

print("answer", json.dumps([context.get_job_id(), os.getcwd(), *ray.get(seen.remote())]))
import helper
print(helper.text)
"""


def test_its_program_joins_the_cluster_in_its_environment(client, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "helper.py").write_text("text = 'of the package'\n")
    (tmp_path / "big.bin").write_bytes(bytes(10))
    os.chmod(tmp_path / "program.py", 0o755)
    job = client.submit_job(
        entrypoint=f"{PYTHON} program.py; ls",
        runtime_env={
            "working_dir": str(tmp_path),
            "excludes": ["*.bin"],
            "env_vars": {"NAME": "value"},
        },
        submission_id="with spaces/and slashes",
    )
    info = ended(client, job)
    log = client.get_job_logs(job)
    assert info.status == "SUCCEEDED", log
    job_id, here, name, there = json.loads(log.split("answer ")[1].splitlines()[0])
    assert name == "value" and there == here and here != str(tmp_path)
    assert "of the package" in log and "big.bin" not in log
    assert info.job_id == job_id == info.driver_info.id and int(info.driver_info.pid) > 1
    assert client.get_job_info(job_id).submission_id == job
    assert [each.job_id for each in client.list_jobs()].count(job_id) == 1
    # The same directory again is not sent again.
    again = client.submit_job(
        entrypoint="pwd", runtime_env={"working_dir": str(tmp_path), "excludes": ["*.bin"]}
    )
    ended(client, again)
    assert here in client.get_job_logs(again)


def test_nobody_is_dropped_who_comes_as_the_server_ends():
    came = threading.Event()

    class Answers(_http.Handler):
        def answer(self, method, path):
            return {"answer": 1}

    class Late(_http.Server):
        def idle_s(self):
            """The first look is old when it is acted upon: somebody has come since."""
            if came.is_set():
                return super().idle_s()
            connection.sendall(b"GET / HTTP/1.1\r\nAuthorization: Bearer token\r\n\r\n")
            wait_for(lambda: self._open == 1)
            came.set()
            return 99.0

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=60) as connection,
    ):
        server = Late(listener, Answers, "token")
        with ThreadPoolExecutor(1) as pool:
            serving = pool.submit(server.serve_until_idle, 0.1, lambda: False)
            assert came.wait(60)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            assert not serving.done()
            connection.close()
            assert serving.result(60) is None


def test_an_address_elsewhere_is_not_here(client):
    host, port = client.get_address().partition("//")[2].split(":")
    assert JobSubmissionClient(f"{host}:6379").get_address() == client.get_address()
    with pytest.raises(ConnectionError, match="another machine: give the URL"):
        JobSubmissionClient("10.255.0.1:6379")


def test_a_log_is_kept_within_its_limit(monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("EAGLERAY_TMPDIR", folder)
        start(folder, "--system-config", '{"log_file_bytes_max": 1000000, "log_old_parts_max": 0}')
        client = JobSubmissionClient()
        gate = Path(folder, "gate")
        job = client.submit_job(
            entrypoint=f"seq -f 'line %g of many' 100000 300000; while [ ! -e {gate} ]; do sleep 0.05; done; echo over"
        )
        log = Path(_node.find_running(folder)["session_dir"], "logs", f"job-driver-{job}.log")
        wait_for(lambda: log.exists() and log.stat().st_size > 3_000_000)
        wait_for(lambda: log.stat().st_blocks * 512 < 1_100_000)  # the disk has it back
        gate.touch()
        assert ended(client, job).status == "SUCCEEDED"
        said, first, *lines, last = client.get_job_logs(job).splitlines()
        assert "bytes before this line were dropped" in said
        assert first.startswith("line ") and first.endswith(" of many")
        assert (lines[-1], last) == ("line 300000 of many", "over")
        assert 400_000 < sum(map(len, lines)) < 1_000_000
        for arguments in (("job", "logs", job), ("job", "logs", "--follow", job)):
            code, shown = command(folder, *arguments)
            assert code == 0 and "were dropped" in shown.splitlines()[0] and first in shown
        shown = command(folder, "logs", "job", "--id", job, "--tail", "-1")[1]
        assert "\0" not in shown and shown.endswith("over\n") and len(shown) < 1_000_000
        assert command(folder, "stop")[0] == 0


def test_a_log_is_not_read_whole_by_the_end_point(client, head):
    job = client.submit_job(entrypoint="head -c 30000000 /dev/zero | tr '\\0' '\"'")
    ended(client, job)
    host, port = client.get_address().removeprefix("http://").split(":")
    stays = socket.create_connection((host, int(port)))  # so that it does
    client.get_version()
    server = server_of(head)

    def peak():
        status = Path(f"/proc/{server}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    before = peak()
    log = client.get_job_logs(job)
    assert len(log) > 30_000_000 and log.endswith('"""')
    assert b"".join(client._stream_job_logs(job)).decode() == log
    assert peak() - before < 20_000  # KiB
    stays.close()
    with pytest.raises(RuntimeError, match="404: Job nobody does not exist"):
        list(client._stream_job_logs("nobody"))


def test_an_old_client_gets_logs_too(client):
    """Of HTTP/1.0, which has no parts."""
    job = client.submit_job(entrypoint="echo 'é\"'")
    ended(client, job)
    host, port = client.get_address().removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        head = f"GET /api/jobs/{job}/logs HTTP/1.0\r\nAuthorization: {client._headers['Authorization']}\r\n\r\n"
        line.sendall(head.encode())
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    body = answer.partition(b"\r\n\r\n")[2]
    assert json.loads(body) == {"logs": client.get_job_logs(job)}


def test_who_follows_may_pause():
    """For longer than a silent connection is kept, with more to come than the kernel holds."""
    frames, size = 400, 1 << 16

    class Talks(_http.Handler):
        timeout = 0.1

        def answer(self, method, path):
            self.open_websocket()
            for _ in range(frames):
                self.send_text("x" * size)
            self.close_websocket()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _http.Server(listener, Talks, "token")
        with socket.create_connection(listener.getsockname(), timeout=60) as connection:
            head = ["GET / HTTP/1.1", "Authorization: Bearer token", "Upgrade: websocket"]
            connection.sendall("\r\n".join([*head, "Sec-WebSocket-Key: x", "", ""]).encode())
            threading.Thread(target=server.serve_forever, daemon=True).start()
            began = time.monotonic()
            wait_for(lambda: time.monotonic() - began > 0.5)
            with connection.makefile("rb") as file:
                _head, _, body = file.read().partition(b"\r\n\r\n")
        server.shutdown()
    assert len(body) == frames * (size + 10) + 4


def test_a_directory_is_sent_as_programs_send_it(client, head, tmp_path):
    """Without what .gitignore and `excludes` name and without virtual environments; and it is kept once."""
    for name in ("keep/data", "data/x", ".venv/bin/x", "a.log", ".gitignore"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("*.log\n")
    env = {"working_dir": str(tmp_path), "excludes": ["/data"]}
    job = client.submit_job(entrypoint="pwd; find . -type f | sort", runtime_env=env)
    info = ended(client, job)
    where, *names = client.get_job_logs(job).splitlines()[1:]
    assert names == ["./.gitignore", "./keep/data"]
    session = _node.find_running(head)["session_dir"]
    name = info.runtime_env["working_dir"].removeprefix("gcs://")
    assert where == os.path.join(session, "runtime_resources", "trees", name)
    assert not os.path.exists(os.path.join(session, "packages"))
    other = client.submit_job(
        entrypoint="true", runtime_env={"working_dir": "gcs://_ray_pkg_00000000.zip"}
    )
    assert "upload it first" in ended(client, other).message


def test_an_archive_is_sent_as_it_is(client, tmp_path):
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        (tmp_path / "inside").write_text("text")
        tar.add(tmp_path / "inside", "inside")
    job = client.submit_job(
        entrypoint="ls", runtime_env={"working_dir": str(tmp_path / "x.tar.gz")}
    )
    assert ended(client, job).status == "SUCCEEDED"
    assert client.get_job_logs(job).splitlines()[1:] == ["inside"]


def test_a_failure_shows_the_end_of_a_line_without_end(client):
    job = client.submit_job(entrypoint="head -c 3000000 /dev/zero | tr '\\0' x; echo end; false")
    message = ended(client, job).message
    assert message.endswith("xxxend\n") and len(message) < 30_000


def test_output_is_followed_while_it_comes(client, tmp_path):
    gate = tmp_path / "gate"
    job = client.submit_job(
        entrypoint=f"echo one; while [ ! -e {gate} ]; do sleep 0.05; done; echo two"
    )

    async def follow():
        parts = []
        async for part in client.tail_job_logs(job):
            parts.append(part)
            if "one\n" in part:
                gate.touch()
        return "".join(parts)

    assert asyncio.run(follow()).endswith("one\ntwo\n")
    assert client.get_job_status(job) == JobStatus.SUCCEEDED
    with pytest.raises(RuntimeError, match="404"):
        asyncio.run(anext(client.tail_job_logs("none")))


@pytest.mark.parametrize("deaf", [False, True])
def test_stop_ends_all_that_it_runs(client, tmp_path, deaf):
    pids = tmp_path / "pids"
    trap = "trap '' TERM;" if deaf else "trap 'echo asked; exit 5' TERM;"
    job = client.submit_job(
        entrypoint=f'setsid sleep 1000 & echo $! >> {pids}; sh -c "{trap} echo \\$\\$ >> {pids}; '
        'echo ready; while true; do sleep 0.05; done"; echo after',
        runtime_env={"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "0.5" if deaf else "60"}},
    )
    log_has(client, job, "ready")
    assert client.stop_job(job)
    info = ended(client, job)
    assert info.status == JobStatus.STOPPED and info.message == "Job was intentionally stopped."
    assert ("asked" in client.get_job_logs(job)) is not deaf
    for pid in map(int, pids.read_text().split()):
        wait_for(lambda pid=pid: not alive(pid))
    assert client.stop_job(job) is False


def test_what_a_job_leaves_behind_ends_with_it(client, tmp_path):
    pid = tmp_path / "pid"
    job = client.submit_job(entrypoint=f"setsid sleep 1000 & echo $! > {pid}")
    assert ended(client, job).status == "SUCCEEDED"
    wait_for(lambda: not alive(int(pid.read_text())))


def test_failure_says_why(client):
    job = client.submit_job(entrypoint="echo the last words; exit 3")
    info = ended(client, job)
    assert info.status == "FAILED" and info.driver_exit_code == 3
    assert info.error_type == JobErrorType.JOB_ENTRYPOINT_COMMAND_ERROR
    assert "failed with exit code 3" in info.message and "the last words" in info.message


def test_a_head_that_comes_by_drops_is_cut_off():
    """It would keep one of the end point's connections for as long as it likes."""

    class Hasty(Handler):
        timeout = 0.5

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(listener, Hasty, "token")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with socket.create_connection(listener.getsockname()) as slow:
            slow.settimeout(0.1)

            def is_cut_off():
                try:
                    slow.send(b"G")
                    return slow.recv(1) == b""
                except TimeoutError:
                    return False
                except ConnectionError:
                    return True

            wait_for(is_cut_off)
        server.shutdown()


def test_a_job_that_is_stopped_while_it_starts_was_stopped(client):
    """Whether it ran already or never did: it is not said to have failed."""
    jobs = [client.submit_job(entrypoint="exec sleep 60") for _ in range(12)]
    assert all(client.stop_job(job) for job in jobs)
    assert {str(ended(client, job).status) for job in jobs} == {"STOPPED"}


def test_an_entry_point_waits_for_its_resources(client, tmp_path):
    gate = tmp_path / "gate"
    wait = f"echo begun; while [ ! -e {gate} ]; do sleep 0.05; done"
    first = client.submit_job(entrypoint=wait, entrypoint_resources={"disk": 1})
    log_has(client, first, "begun")
    second = client.submit_job(entrypoint="echo second", entrypoint_resources={"disk": 1})
    third = client.submit_job(entrypoint="echo third", entrypoint_resources={"disk": 1})
    info = client.get_job_info(second)
    assert info.status == "PENDING" and "waiting for resources" in info.message
    assert client.stop_job(third) and client.get_job_status(third) == "STOPPED"
    with pytest.raises(RuntimeError, match="non-terminal state PENDING"):
        client.delete_job(second)
    gate.touch()
    assert ended(client, first).status == ended(client, second).status == "SUCCEEDED"
    assert client.get_job_logs(third) == ""


def test_it_holds_cpus_of_its_own(client, tmp_path):
    gate = tmp_path / "gate"
    job = client.submit_job(
        entrypoint=f"echo begun; while [ ! -e {gate} ]; do sleep 0.05; done",
        entrypoint_num_cpus=1.5,
        entrypoint_memory=1000,
    )
    log_has(client, job, "begun")
    facts = json.loads(command(os.environ["EAGLERAY_TMPDIR"], "status", "--json")[1])
    used = {row["resource"]: row["used"] for row in facts["resources"]}
    assert used["CPU"] == 1.5 and used["memory"] == 1000
    gate.touch()
    ended(client, job)


def test_drivers_are_listed_too(client, head):
    program = subprocess.Popen(
        [
            PYTHON,
            "-c",
            "import eagleray as ray, sys; ray.init('auto'); print(1, flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
    )
    program.stdout.readline()
    command(head, "list", "nodes")  # what only looks is no job
    drivers = [job for job in client.list_jobs() if job.type is JobType.DRIVER]
    (driver,) = [job for job in drivers if job.driver_info.pid == str(program.pid)]
    assert (driver.status, driver.end_time) == ("RUNNING", None)
    assert driver.submission_id is None and "eagleray as ray" in driver.entrypoint
    assert not [job for job in drivers if "list nodes" in job.entrypoint]
    program.communicate()
    wait_for(lambda: client.get_job_info(driver.job_id).status == "SUCCEEDED")
    ended = client.get_job_info(driver.job_id)
    assert ended.start_time == driver.start_time <= ended.end_time
    assert driver.job_id in command(head, "list", "jobs", "--filter", "status=SUCCEEDED")[1]


@pytest.mark.parametrize("victim", ["supervisor", "server", "control"])
def test_a_death_in_between(client, head, tmp_path, victim):
    gate, pid = tmp_path / "gate", tmp_path / "pid"
    job = client.submit_job(
        entrypoint=f"echo $$ > {pid}; echo begun; while [ ! -e {gate} ]; do sleep 0.05; done; echo over"
    )
    log_has(client, job, "begun")
    shell = int(pid.read_text())
    facts = json.loads(command(head, "status", "--json")[1])
    if victim == "supervisor":
        found = int(Path(f"/proc/{shell}/stat").read_text().rsplit(")", 1)[1].split()[1])
    elif victim == "server":
        found = wait_for(lambda: client.get_version() and server_of(head))
    else:
        (found,) = [p["pid"] for p in facts["processes"] if p["what"] == "eagleray-control"]
    os.kill(found, signal.SIGKILL)
    wait_for(lambda: not alive(found))
    if victim == "supervisor":
        info = ended(client, job)
        assert info.status == "FAILED" and info.error_type == "JOB_SUPERVISOR_ACTOR_DIED"
        wait_for(lambda: not alive(shell))
    else:
        assert wait_for(lambda: client.get_job_status(job)) == "RUNNING"
        gate.touch()
        assert ended(client, job).status == "SUCCEEDED"
        assert client.get_job_logs(job).endswith("over\n")


def test_the_next_head_knows_the_jobs_of_the_one_before(monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("EAGLERAY_TMPDIR", folder)
        start(folder)
        client = JobSubmissionClient()
        done = client.submit_job(entrypoint="echo kept", metadata={"a": "b"})
        ended(client, done)
        pid = Path(folder, "pid")
        runs = client.submit_job(entrypoint=f"echo $$ > {pid}; echo begun; sleep 1000")
        log_has(client, runs, "begun")
        joins = "import eagleray as ray, sys; ray.init('auto'); print(1, flush=True)"
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
        subprocess.run([PYTHON, "-c", joins], env=environment, check=True, timeout=60)
        stays = subprocess.Popen(
            [PYTHON, "-c", f"{joins}; sys.stdin.read()"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        stays.stdout.readline()
        assert command(folder, "stop")[0] == 0
        stays.communicate()
        assert not alive(int(pid.read_text()))
        start(folder)  # a head of which nobody asks anything
        assert command(folder, "stop")[0] == 0
        start(folder)
        client = JobSubmissionClient()
        info = client.get_job_info(done)
        assert info.status == "SUCCEEDED" and info.metadata == {"a": "b"}
        assert client.get_job_logs(done).endswith("kept\n")
        info = client.get_job_info(runs)
        assert info.status == "FAILED" and "cluster ended while the job was running" in info.message
        first, second = [job for job in client.list_jobs() if job.type is JobType.DRIVER]
        assert (first.status, second.status) == ("SUCCEEDED", "FAILED")
        assert second.driver_info.pid == str(stays.pid) and second.end_time >= first.end_time > 0
        assert "The cluster ended" in second.message
        rows = json.loads(command(folder, "list", "jobs", "--format", "json")[1])
        assert len(rows) == 4
        assert command(folder, "stop")[0] == 0


def test_the_server_is_there_only_while_it_is_used(client, head):
    server = wait_for(lambda: client.get_version() and server_of(head))
    wait_for(lambda: not alive(server))
    assert client.get_version() == "4"
    assert server_of(head) not in (None, server)


def test_an_id_is_taken_once(client):
    job = client.submit_job(entrypoint="true", submission_id="mine")
    with pytest.raises(RuntimeError, match=r"different submission_id\.$"):
        client.submit_job(entrypoint="true", submission_id="mine")
    assert job == "mine"
    with pytest.raises(RuntimeError, match="submission_id mine already exists"):
        client.submit_job(entrypoint="true", submission_id="mine")


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"entrypoint": 5}, TypeError, "entrypoint must be a string"),
        (
            {"entrypoint": "true", "metadata": {"a": 1}},
            TypeError,
            "metadata values must be strings",
        ),
        ({"entrypoint": "true", "entrypoint_num_cpus": "1"}, TypeError, "must be a number"),
        ({"entrypoint": "true", "submission_id": "x" * 300}, RuntimeError, "400"),
        ({"entrypoint": "true", "submission_id": ".."}, RuntimeError, "dots only"),
        (
            {"entrypoint": "true", "runtime_env": {"working_dir": "/no/such"}},
            ValueError,
            "existing",
        ),
        ({"entrypoint": "true", "runtime_env": {"env_vars": {"A": 1}}}, TypeError, "the value 1"),
    ],
)
def test_bad_requests(client, arguments, error, says):
    with pytest.raises(error, match=says):
        client.submit_job(**arguments)


def test_bad_environments_of_other_clients_fail_the_job(client):
    wanted = {"entrypoint": "true", "runtime_env": {"env_vars": {"A": 1}}}
    job = client._request("POST", "/api/jobs/", json.dumps(wanted).encode())["submission_id"]
    info = ended(client, job)
    assert info.status == "FAILED" and "the value 1 is of type" in info.message


def raw(client, method, path, body=None, **headers):
    """Status and text of a request that says just this."""
    connection = http.client.HTTPConnection(client.get_address().partition("//")[2], timeout=60)
    connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_who_has_no_token_gets_nothing(client):
    assert raw(client, "GET", "/api/version") == (401, "Unauthorized: Missing authentication token")
    assert raw(client, "GET", "/api/jobs/", Authorization="Bearer wrong")[0] == 403
    status, _ = raw(client, "POST", "/api/jobs/", b'{"entrypoint": "true"}', Authorization="wrong")
    assert status == 403
    with pytest.raises(AuthenticationError, match="get-auth-token"):
        JobSubmissionClient(client.get_address(), headers={"Authorization": "Bearer wrong"})


def test_tokens_are_in_no_environment_and_no_arguments(client):
    token = client._headers["Authorization"].split()[1]
    job = client.submit_job(entrypoint="env; cat /proc/*/cmdline 2>/dev/null | tr '\\0' ' '")
    ended(client, job)
    assert token not in client.get_job_logs(job)
    path = Path(_node.find_running(os.environ["EAGLERAY_TMPDIR"])["session_dir"], _token.FILE)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/none", None, 404),
        ("GET", "/api/jobs/none", None, 404),
        ("POST", "/api/jobs/none/stop", None, 404),
        ("POST", "/api/jobs/", b"no json", 400),
        ("POST", "/api/jobs/", b"[" * 100_000, 400),
        ("POST", "/api/jobs/", b'{"entrypoint": "true", "other": 1}', 400),
        ("POST", "/api/jobs/", b"x" * (5 << 20), 413),
        ("PUT", "/api/packages/gcs/..%2F..%2Fx.zip", b"x", 400),
        ("PUT", "/api/packages/gcs/_ray_pkg_0123456789.zip", b"no archive", 400),
        ("GET", "/api/packages/gcs/_ray_pkg_0123456789.zip", None, 404),
    ],
)
def test_requests_that_make_no_sense(client, method, path, body, status):
    authorization = client._headers["Authorization"]
    try:
        assert raw(client, method, path, body, Authorization=authorization)[0] == status
    except (BrokenPipeError, ConnectionResetError):
        assert status == 413  # it does not listen to the end
    assert client.get_version() == "4"


def test_a_head_without_end_is_cut(client):
    host, port = client.get_address().partition("//")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 9000)
        assert connection.recv(100) == b""


def test_a_job_s_client_finds_its_cluster(client):
    job = client.submit_job(
        entrypoint=f"{PYTHON} -c 'from eagleray.job_submission import JobSubmissionClient as C; "
        "print(len(C().list_jobs()) > 0)'"
    )
    assert ended(client, job).status == "SUCCEEDED", client.get_job_logs(job)
    assert client.get_job_logs(job).endswith("True\n")


def test_values_cross_as_json():
    info = JobInfo(
        JobStatus.PENDING, "x", runtime_env={"env_vars": {"a": "b"}}, entrypoint_num_cpus=1
    )
    assert "waiting for resources" in info.message and "environment to be set up" in info.message
    assert JobInfo.from_json({**info.to_json(), "of_a_newer_release": 1}) == info
    details = JobDetails.of("id", info, None)
    assert JobDetails(**json.loads(json.dumps(details.dict()))) == details
    assert not JobStatus.RUNNING.is_terminal() and str(JobStatus.STOPPED) == "STOPPED"


def test_the_command_line(head, tmp_path):
    gate = tmp_path / "gate"
    status, text = command(
        head, "job", "submit", "--submission-id", "cli", "--", "sh", "-c", "echo $((6*7))"
    )
    assert status == 0 and "Job 'cli' submitted successfully" in text and "42\n" in text
    assert "Job 'cli': SUCCEEDED" in text
    status, text = command(head, "job", "submit", "--", "sh", "-c", "exit 4")
    assert status == 1 and "exit code 4" in text
    env = tmp_path / "env.json"
    env.write_text('{"env_vars": {"WORD": "of the file"}}')
    status, text = command(
        *(head, "job", "submit", "--runtime-env", str(env), "--no-wait", "--submission-id", "slow"),
        *("--metadata-json", '{"k": "v"}', "--entrypoint-num-cpus", "1"),
        *("--", "sh", "-c", f"echo $WORD; while [ ! -e {gate} ]; do sleep 0.05; done"),
    )
    assert status == 0
    wait_for(lambda: "of the file" in command(head, "job", "logs", "slow")[1])
    assert "RUNNING" in command(head, "job", "status", "slow")[1]
    assert json.loads(command(head, "job", "status", "--json", "slow")[1])["metadata"] == {"k": "v"}
    assert command(head, "job", "delete", "slow")[0] == 1
    assert "STOPPED" in command(head, "job", "stop", "slow")[1]
    status, text = command(head, "job", "list")
    assert status == 0 and "slow" in text and "STOPPED" in text
    assert {"cli", "slow"} <= {
        j["submission_id"] for j in json.loads(command(head, "job", "list", "--json")[1])
    }
    assert command(head, "job", "delete", "slow")[0] == 0
    status, text = command(head, "job", "logs", "slow")
    assert status == 1 and "does not exist" in text and "Traceback" not in text
    status, text = command(
        head, "job", "status", "cli", RAY_API_SERVER_ADDRESS="http://127.0.0.1:9"
    )
    assert status == 1 and "Failed to connect" in text


def test_no_cluster_no_client(tmp_path, monkeypatch):
    monkeypatch.setenv("EAGLERAY_TMPDIR", str(tmp_path))
    with pytest.raises(ConnectionError, match="start --head"):
        JobSubmissionClient()
    with pytest.raises(NotImplementedError, match="ray://"):
        JobSubmissionClient("ray://there:10001")


def test_a_head_may_take_no_jobs(monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("EAGLERAY_TMPDIR", folder)
        assert "job submit" not in start(folder, "--include-dashboard", "false")
        with pytest.raises(ConnectionError, match="no job end point"):
            JobSubmissionClient()
        assert command(folder, "stop")[0] == 0


# A Python that has ray[default]; ours has not.
RAY_PYTHON = os.environ.get("EAGLERAY_TEST_RAY_PYTHON", "")


@pytest.mark.skipif(not RAY_PYTHON, reason="needs ray[default] beside us: EAGLERAY_TEST_RAY_PYTHON")
def test_ray_s_own_client_can_speak_to_it(client, head, tmp_path):
    (tmp_path / "m.py").write_text("print('from the directory')\n")
    session = _node.find_running(head)["session_dir"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{session}/auth_token"}
    done = subprocess.run(
        [
            RAY_PYTHON,
            "-m",
            "ray.scripts.scripts",
            "job",
            "submit",
            "--address",
            client.get_address(),
            "--working-dir",
            tmp_path,
        ]
        + ["--submission-id", "of-ray", "--metadata-json", '{"a": "b"}', "--", "python", "m.py"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "from the directory" in done.stdout and "Job 'of-ray' succeeded" in done.stdout
    assert client.get_job_info("of-ray").metadata == {"a": "b"}
    code = """if True:
        import asyncio, sys
        from ray.job_submission import JobSubmissionClient
        client = JobSubmissionClient(sys.argv[1])
        print("from the directory" in client.get_job_logs("of-ray"))
        async def follow():
            return "".join([part async for part in client.tail_job_logs("of-ray")])
        print(asyncio.run(follow()) == client.get_job_logs("of-ray"))
        jobs = {job.submission_id or job.job_id: job for job in client.list_jobs()}
        print(jobs["of-ray"].status, jobs["of-ray"].type.value, {job.type.value for job in jobs.values()})
        print(client.stop_job("of-ray"), client.delete_job("of-ray"))
        print("of-ray" in [job.submission_id for job in client.list_jobs()])
    """
    joins = "import eagleray as ray; ray.init('auto')"
    subprocess.run(
        [PYTHON, "-c", joins], env={**os.environ, "PYTHONPATH": str(ROOT / "python")}, check=True
    )
    done = subprocess.run(
        [RAY_PYTHON, "-c", code, client.get_address()],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["True", "True"] and lines[2].startswith("SUCCEEDED SUBMISSION")
    assert "'DRIVER'" in lines[2] and lines[3:] == ["False True", "False"]
