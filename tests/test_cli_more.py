"""The command line beside start, stop and status: help of every command, completion, looking into workers."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import click
import pytest
from _commands import every_command, examples
from _support import PEER, alive, wait_for
from click.testing import CliRunner
from eagleray import _cli, _cli_look, _completion, _status, _status_watch

pytestmark = pytest.mark.skipif(PEER, reason="our command line")
ROOT = Path(__file__).parents[1]


@pytest.fixture
def environment():
    with tempfile.TemporaryDirectory() as short:  # tmp_path is too long for sockets
        yield {
            **os.environ,
            "PYTHONPATH": str(ROOT / "python"),
            "EAGLERAY_TMPDIR": short,
            "HOME": short,
        }


@pytest.fixture
def command(environment):
    def run(*arguments, **more):
        done = subprocess.run(
            [sys.executable, "-m", "eagleray", *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**environment, **more},
            timeout=60,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout + done.stderr

    yield run
    run("stop", "--force")


LIBRARIES = ("tune", "rllib")


@pytest.mark.parametrize(
    ("path", "found"), [pytest.param(p, f, id=" ".join(p)) for p, f in every_command()]
)
def test_every_command_teaches_by_example(path, found):
    text = found.get_help(click.Context(found, info_name=f"eagleray {' '.join(path)}"))
    before_options = text.split("\nOptions:")[0]
    words = path if path != ("rllib", "rollout") else ("rllib", "evaluate")  # its older name
    assert f"eagleray {' '.join(words)}" in before_options.split("\n", 1)[1], text
    for option in found.params:
        if isinstance(option, click.Option) and not option.hidden and path[0] not in LIBRARIES:
            assert option.help, option.name


def test_every_example_is_a_command_line_that_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("")
    Path("src").mkdir()
    found = list(examples())
    assert len(found) > 80
    for path, text in found:
        group, context = _cli.cli, _cli.cli.make_context("eagleray", shlex.split(text))
        while isinstance(group, click.Group):
            rest = [*context._protected_args, *context.args]
            if not rest:
                break  # a group that does something by itself
            name, group, rest = group.resolve_command(context, rest)
            assert group is not None, (path, text)
            try:
                context = group.make_context(name, rest, parent=context)
            except click.UsageError as error:
                pytest.fail(f"{' '.join(path)}: `eagleray {text}`: {error.format_message()}")


# Of `ray --help` and its hidden ones (Ray 2.60); what they need beside a machine is theirs to say.
OF_RAY = """attach check-open-ports cluster-dump cpp dashboard disable-usage-stats down enable-usage-stats exec
get-auth-token get-head-ip get-worker-ips job kill-actor metrics microbenchmark monitor rsync-down rsync-up serve stack
start status stop submit symmetric-run up drain-node health-check kill-random-node kuberay-autoscaler
sanity-check""".split()


def test_no_command_of_ray_is_unknown():
    names = {path[0] for path, _ in every_command()}
    assert set(OF_RAY) <= names


@pytest.mark.parametrize(
    "name", ["up", "attach", "submit", "monitor", "dashboard", "cpp", "drain-node"]
)
def test_what_comes_later_says_so(command, name):
    status, text = command(name, "cluster.yaml", "--some-option", "x")
    assert status == 1 and f"`{name}` is not implemented yet" in text


def test_json_everywhere(command):
    assert json.loads(command("version", "--json")[1])["version"]
    started = json.loads(command("start", "--head", "--num-cpus", "1", "--json")[1])
    assert alive(started["pid"]) and started["jobs"].startswith("http://127.0.0.1:")
    ports = json.loads(command("check-open-ports", "--json")[1])
    assert [each["loopback"] for each in ports] == [True]
    assert ports[0]["port"] == int(started["jobs"].rsplit(":", 1)[1])
    assert command("get-head-ip") == (0, "127.0.0.1\n")
    assert command("get-worker-ips") == (0, "")
    token = command("get-auth-token")
    assert token[0] == 0 and re.fullmatch(r"[0-9a-f]{64}\n", token[1])
    assert command("health-check")[0] == 0
    ended = json.loads(command("stop", "--json")[1])["ended"]
    assert len(ended) == 1 and str(started["pid"]) in ended[0]
    assert command("health-check")[0] == 1
    assert json.loads(command("stop", "--json")[1]) == {"ended": []}


def test_ports_beyond_loopback_are_told(command):
    assert command("start", "--head", "--num-cpus", "1", "--dashboard-host", "0.0.0.0")[0] == 0
    status, text = command("check-open-ports")
    assert status == 1 and "OTHER MACHINES" in text
    assert command("job", "list")[0] == 0


def test_tokens_of_one_s_own(command, environment):
    assert command("get-auth-token")[0] == 1
    status, made = command("get-auth-token", "--generate")
    assert status == 0 and command("get-auth-token") == (0, made)
    path = Path(environment["HOME"], ".ray", "auth_token")
    assert path.stat().st_mode & 0o777 == 0o600
    assert command("start", "--head", "--num-cpus", "1")[0] == 0
    assert command("get-auth-token") == (0, made)  # a head takes it
    assert command("stop")[0] == 0
    status, text = command("start", "--head", RAY_AUTH_TOKEN="short")
    assert status == 1 and "16 or more" in text


@pytest.mark.parametrize("shell", _completion.SHELLS)
def test_completion_is_installed_once(command, environment, shell):
    home = Path(environment["HOME"])
    status, text = command("--install-completion", shell)
    if status == 1:
        pytest.skip(text)  # the shell is missing here
    for line in text.splitlines()[:-1]:
        assert Path(line.removeprefix("wrote ")).is_relative_to(home)
    before = {path: path.read_text() for path in home.rglob("*") if path.is_file()}
    assert any("_EAGLERAY_COMPLETE" in each for each in before.values())
    assert command("--install-completion", shell)[0] == 0
    assert {path: path.read_text() for path in before} == before
    assert "_EAGLERAY_COMPLETE" in command("--show-completion", shell)[1]


def test_completion_completes(environment):
    asked = {
        "_EAGLERAY_COMPLETE": "bash_complete",
        "COMP_WORDS": "eagleray job st",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "eagleray"],
        capture_output=True,
        text=True,
        env={**environment, **asked},
    )
    assert set(done.stdout.split()) == {"plain,status", "plain,stop"}


def test_completion_wants_a_shell_it_knows(command):
    status, text = command("--install-completion", "csh")
    assert status == 1 and "bash, zsh, fish" in text


ACTOR = """
import eagleray as ray, sys
ray.init("auto", namespace="here")

@ray.remote(lifetime="detached", name="kept", max_restarts=1)
class Kept:
    def pid(self):
        import os
        return os.getpid()

kept = Kept.remote()
print(ray.get(kept.pid.remote()))
"""


def test_kill_actor(command, environment):
    command("start", "--head", "--num-cpus", "1")
    made = [sys.executable, "-c", ACTOR]
    pid = int(subprocess.check_output(made, env=environment, text=True))
    assert command("kill-actor")[0] == 2
    status, text = command("kill-actor", "--name", "kept")
    assert status == 1 and "No named actor found: kept" in text
    status, text = command(
        "kill-actor", "--name", "kept", "--namespace", "here", "--force", "--no-restart"
    )
    assert status == 0 and "Actor killed (force): kept" in text
    wait_for(lambda: not alive(pid))
    pid = int(subprocess.check_output(made, env=environment, text=True))
    assert "graceful" in command("kill-actor", "--name", "kept", "--namespace", "here")[1]
    wait_for(lambda: not alive(pid))


def test_a_dump_has_what_helps_and_no_secrets(command, tmp_path):
    command("start", "--head", "--num-cpus", "1")
    token = command("get-auth-token")[1].strip()
    path = tmp_path / "dump.tar.gz"
    assert command("cluster-dump", "-o", path)[0] == 0
    with tarfile.open(path) as archive:
        contents = {m.name: archive.extractfile(m).read() for m in archive.getmembers()}
    assert {"status.json", "packages.txt", "logs/node.log"} <= set(contents)
    assert json.loads(contents["status.json"])["resources"]
    assert not any(token.encode() in data for data in contents.values())
    assert path.stat().st_mode & 0o077 == 0


HANGING = f"hangs_{os.getpid()}"  # nobody else's task is called so
HANGS = f"""
import eagleray as ray, threading
ray.init(num_cpus=1)

@ray.remote
def {HANGING}(secret):
    threading.Event().wait()

ray.get({HANGING}.remote("what it was given"))
"""


@pytest.fixture
def hanging(environment):
    """A program whose task hangs."""
    program = subprocess.Popen(
        [sys.executable, "-c", HANGS],
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    wait_for(lambda: any(HANGING in worker["what"] for worker in _cli_look.workers_of_user()))
    yield program
    program.send_signal(signal.SIGTERM)
    program.wait(60)
    program.stdout.close()


def test_a_task_that_hangs_can_be_looked_at(command, hanging, tmp_path):
    status, text = command("stack", HANGING)
    assert status == 0
    assert f"======== {HANGING}" in text and f"{HANGING} (<string>" in text
    assert "what it was given" in command("stack", HANGING, "--locals")[1]
    (seen,) = json.loads(command("stack", HANGING, "--json")[1])
    assert HANGING in json.dumps(seen["threads"])
    picture = tmp_path / "flame.svg"
    status, text = command("flamegraph", str(seen["pid"]), "-d", "1", "-o", picture, "--idle")
    assert status == 0 and "<svg" in picture.read_text()
    status, text = command("stack", "no_such_function")
    assert status == 1 and HANGING in text


TRACES = """
import ctypes, sys
PTRACE_SEIZE = 0x4206
assert ctypes.CDLL(None).ptrace(PTRACE_SEIZE, int(sys.argv[1]), None, None) == 0
print("traces", flush=True)
sys.stdin.read()
"""


def test_who_is_in_the_way_of_a_look_is_named_and_the_others_are_shown(command, hanging):
    (worker,) = [w for w in _cli_look.workers_of_user() if HANGING in w["what"]]
    pids = (str(worker["pid"]), str(hanging.pid))
    tracer = [sys.executable, "-c", TRACES, pids[0]]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(tracer, **pipes) as traces:
        assert traces.stdout.readline() == b"traces\n"
        status, text = command("stack", *pids)
        assert status == 1 and "1 of 2 processes could not be looked into" in text
        assert f"process {pids[0]} is being looked into by process {traces.pid} (" in text
        assert f"Process {hanging.pid}: " in text
        status, text = command("stack", pids[0])
        assert status == 1 and text.count("is being looked into") == 1
        status, text = command("stack", *pids, "--json")
        seen, other = json.loads(text.splitlines()[0])
        assert f"kill {traces.pid}" in seen["error"] and "threads" not in seen
        assert other["threads"] and "error" not in other
    status, text = command("stack", pids[0])
    assert status == 0 and f"======== {HANGING}" in text


def test_workers_of_ray_are_not_taken_for_ours():
    foreign = subprocess.Popen(["ray::foreign", "600"], executable=shutil.which("sleep"))
    try:
        title = Path(f"/proc/{foreign.pid}/cmdline")
        wait_for(lambda: title.read_text().startswith("ray::foreign"))  # not yet, as it begins
        assert foreign.pid not in [worker["pid"] for worker in _cli_look.workers_of_user()]
    finally:
        foreign.kill()
        foreign.wait()


ALLOCATES = """
import eagleray as ray, threading
ray.init(num_cpus=1)

@ray.remote
def allocates():
    kept = []
    while not threading.Event().wait(0.01):
        kept = [bytearray(100_000) for _ in range(100)]

ref = allocates.remote()
print("runs", flush=True)
ray.get(ref)
"""


def test_where_a_worker_allocates_its_memory(command, environment, tmp_path):
    pytest.importorskip("memray")
    if shutil.which("gdb") is None and shutil.which("lldb") is None:
        pytest.skip("memray attaches by gdb or lldb")
    with subprocess.Popen(
        [sys.executable, "-c", ALLOCATES], env=environment, stdout=subprocess.PIPE
    ) as program:
        try:
            program.stdout.readline()
            picture = tmp_path / "memory.html"
            (worker,) = wait_for(
                lambda: [w for w in _cli_look.workers_of_user() if "allocates" in w["what"]]
            )
            call = ("flamegraph", "allocates", "--memory", "-d", "1", "-o", picture)
            status, text = command(*call)
            assert status == 0 and "allocates" in picture.read_text(), text
            assert list(tmp_path.iterdir()) == [picture]
            assert alive(worker["pid"])
        finally:
            program.kill()


def test_a_tool_that_never_ends_is_ended_and_what_it_has_started_too(tmp_path):
    script = "sleep 1000 & echo $! > child; wait"
    assert _cli_look._run(["sh", "-c", f"cd {tmp_path}; {script}"], 1.0) is None
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: not alive(child))  # a process closes its pipes before it is gone


@pytest.mark.parametrize("tool, options", [("memray", ["--memory"]), ("py-spy", [])])
def test_tools_that_are_missing_are_named(tool, options, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    said = CliRunner().invoke(_cli_look.flamegraph, ["hangs", *options])
    assert said.exit_code == 1
    assert f"{tool} is not installed: pip install {tool}" in said.output


def test_status_is_watched(command, environment):
    command("start", "--head", "--num-cpus", "2")
    watching = subprocess.Popen(
        [sys.executable, "-m", "eagleray", "status", "--watch", "--json", "--interval", "0.1"],
        env=environment,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    facts = [json.loads(watching.stdout.readline()) for _ in range(2)]
    watching.send_signal(signal.SIGINT)
    assert watching.wait(60) == 0
    watching.stdout.close()
    assert {row["resource"] for row in facts[1]["resources"]} >= {"CPU", "memory"}
    assert all(process["memory"] > 0 for process in facts[0]["processes"])


def test_status_that_nobody_reads_any_more_ends_quietly(command, environment):
    command("start", "--head", "--num-cpus", "1")
    with subprocess.Popen(
        [sys.executable, "-m", "eagleray", "status", "--watch", "--json", "--interval", "0.1"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        watching.stdout.readline()
        watching.stdout.close()
        assert watching.stderr.read() == ""


def test_what_placement_groups_reserve_is_used_where_tasks_use_it():
    group = "06" + "0" * 34
    rows = {
        "CPU": (3.0, 4.0),
        f"CPU_group_{group}": (1.0, 2.0),
        f"CPU_group_0_{group}": (1.0, 2.0),
        f"bundle_group_{group}": (0.0, 1000.0),
    }
    facts = {
        "resources": [{"resource": n, "used": u, "total": t} for n, (u, t) in rows.items()],
    }
    assert list(_status.resources(facts)) == [
        ("CPU", 2.0, 4.0, " (1.0 used of 2.0 reserved in placement groups)")
    ]


def test_what_a_terminal_shows():
    console = pytest.importorskip("rich.console").Console(
        width=120, record=True, file=open(os.devnull, "w")
    )
    facts = {
        "time": "now",
        "resources": [
            {"resource": "CPU", "used": 3.0, "total": 4.0},
            {"resource": "object_store_memory", "used": 1 << 20, "total": 1 << 30},
            {"resource": "node:127.0.0.1", "used": 0, "total": 1},
        ],
        "demands": [
            {"resources": {"GPU": 1.0}, "count": 7, "what": "task", "reason": "no node has one"}
        ],
        "placement_groups": [
            {
                "state": "PENDING",
                "bundles": {0: {}},
                "strategy": "PACK",
                "stats": {"scheduling_state": "INFEASIBLE", "why": "no node can ever hold it"},
            }
        ],
        "processes": [
            {"pid": 1, "kind": "worker", "what": "actor A", "memory": 3 << 20},
            {"pid": 2, "kind": "worker", "what": "idle", "memory": 1 << 20},
        ],
    }
    console.print(_status_watch.drawn(facts))
    text = console.export_text()
    for part in ("75%", "1.00GiB", "no node has one", "ever hold", "actor A", "3.00MiB", "1 idle"):
        assert part in text, part
    assert "node:127" not in text


def test_symmetric_run(command, tmp_path):
    program = tmp_path / "p.py"
    program.write_text(
        "import eagleray as ray\nray.init()\nprint(ray.cluster_resources()['CPU'])\nraise SystemExit(4)"
    )
    status, text = command(
        *("symmetric-run", "--address", "127.0.0.1:6379", "--num-cpus", "3", "--"),
        *(sys.executable, program),
    )
    assert status == 4 and "3.0" in text and "ended: node" in text
    status, text = command("symmetric-run", "--address", "10.9.9.9:1", "--", "true")
    assert status == 1 and "several machines" in text
    assert command("symmetric-run", "--address", "127.0.0.1:6379", "true")[0] == 2


def test_no_colours_in_a_pipe(command):
    assert "\x1b[" not in command("doctor")[1]


def test_extras_are_those_of_ray():
    text = (ROOT / "pyproject.toml").read_text()
    part = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    names = set(re.findall(r"^(\w+) = ", part, re.M))
    assert names >= {"debug", "dashboard", "tune", "rllib", "serve", "default", "data", "all"}


PROGRAM = """
import importlib.metadata, multiprocessing, subprocess, sys
import ray
from ray.util import ActorPool
import of_mine

def doubled(x):
    return x * 2

if __name__ == "__main__":
    ray.init(num_cpus=1)
    assert sys.modules["__main__"].__file__ == __file__
    print(ray.get(ray.remote(of_mine.name).remote()), ActorPool.__module__)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(doubled, [21]))
    print(importlib.metadata.version("ray") == ray.__version__)
    subprocess.check_output(["ray", "version"])
    print(subprocess.check_output([sys.executable, "-c", "import ray; print(ray.__name__)"], text=True))
    print(sys.argv[1:])
    1 / 0
"""


def test_what_a_program_starts_sees_eagleray_as_ray(environment, tmp_path):
    (tmp_path / "of_mine.py").write_text("import ray.util\ndef name():\n    return ray.__name__\n")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "eagleray", "run", program, "--flag"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    lines = done.stdout.split("\n")
    assert lines[0].startswith("eagleray eagleray.util"), done.stderr
    assert lines[1] == "[42]" and lines[2:6] == ["True", "eagleray", "", "['--flag']"]
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
    assert "click" not in done.stderr and "_cli.py" not in done.stderr  # its own frames only


def test_run_takes_modules(command, tmp_path):
    status, text = command("run", "-m", "json.tool", "--help")
    assert status == 0 and "json.tool" in text
    assert command("run")[0] == 2


def test_the_client_s_address_joins_the_cluster_here(command, environment):
    command("start", "--head", "--num-cpus", "3")
    code = "import eagleray as ray; ray.init('ray://localhost:10001'); print(ray.cluster_resources()['CPU'])"
    made = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert made.stdout == "3.0\n", made.stderr
    code = code.replace("localhost", "10.9.8.7")
    made = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert "NotImplementedError: the ray:// client protocol" in made.stderr
