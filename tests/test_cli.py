"""The command line, as a user types it: what it prints and its exit status."""

import json
import os
import signal
import subprocess
import sys
import tempfile

import eagleray
import pytest
from _support import alive, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def environment():
    with tempfile.TemporaryDirectory() as short:  # tmp_path is too long for sockets
        yield {
            **os.environ,
            "PYTHONPATH": os.path.join(ROOT, "python"),
            "EAGLERAY_TMPDIR": short,
        }


@pytest.fixture
def command(environment):
    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "eagleray", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    yield run
    run("stop", "--force")


@pytest.mark.parametrize("name", [[], ["start"], ["stop"], ["status"], ["doctor"], ["run"]])
def test_help_teaches(command, name):
    status, text = command(*name, "--help")
    assert status == 0 and "Usage" in text
    assert f"eagleray {name[0] if name else 'start'}" in text.split("Options:")[0]


def test_version(command):
    assert command("--version") == (0, f"eagleray, version {eagleray.__version__}\n")


def test_a_cluster_from_start_to_stop(command, tmp_path):
    assert command("status")[0] == 1
    status, text = command(
        *("start", "--head", "--num-cpus", "3", "--resources", '{"disk": 2}', "--port", "6399"),
        *("--labels", "zone=a", "--object-store-memory", str(100 << 20), "--disable-usage-stats"),
        *("--node-ip-address", "127.0.0.1", "-v", "--include-dashboard", "true"),
        *(
            "--object-manager-port",
            "8076",
            "--min-worker-port",
            "1",
            "--ray-client-server-port",
            "1",
        ),
        *("--dashboard-agent-listen-port", "1"),
    )
    assert status == 0 and "ray.init(address='auto')" in text
    assert "there is no dashboard yet" in text and "job submit" in text
    status, text = command("start", "--head")
    assert status == 1 and "runs already" in text
    status, text = command("status")
    assert status == 0 and "0.0/3.0 CPU" in text and "0.0/2.0 disk" in text
    assert "0B/100.00MiB object_store_memory" in text and "(no resource demands)" in text
    script = tmp_path / "program.py"
    script.write_text(
        "import ray, sys\nray.init(address='127.0.0.1:6399')\n"
        "print('answer', ray.get(ray.remote(lambda: 42).remote()), sys.argv[1:])\nsys.exit(7)\n"
    )
    status, text = command("run", str(script), "--x", "1")
    assert status == 7 and "answer 42 ['--x', '1']" in text
    status, text = command("stop")
    assert status == 0 and "ended" in text
    status, text = command("stop", "--grace-period", "1")
    assert status == 0 and "nothing runs" in text


def descendants_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = [int(child) for child in file.read().split()]
    return [*children, *(each for child in children for each in descendants_of(child))]


@pytest.mark.parametrize("how", ["--force", "--grace-period=0.1"])
def test_stop_returns_when_also_what_hangs_is_gone(command, how):
    guard = json.loads(command("start", "--head", "--num-cpus", "1", "--json")[1])["pid"]
    programs = descendants_of(guard)
    assert len(programs) >= 3  # the node, control, the zygote
    for pid in programs:
        os.kill(pid, signal.SIGSTOP)
    status, text = command("stop", how)
    assert status == 0 and f"process {guard}" in text
    assert not [pid for pid in programs if alive(pid)]


PROGRAM = """
import json, subprocess, sys
import eagleray as ray
ray.init(address="auto")

@ray.remote(resources={"disk": 1})
class Holder:
    def one(self):
        return 1

holder = Holder.remote()
ray.get(holder.one.remote())
too_much = ray.remote(lambda: 1).options(num_gpus=3).remote()
nowhere = Holder.options(resources={"nowhere": 1}).remote()
group = ray.util.placement_group([{"CPU": 50}])
group.wait(0.1)
kept = ray.put(bytes(10_000_000))
for arguments in (["--json"], ["-v"]):
    done = subprocess.run([sys.executable, "-m", "eagleray", "status", *arguments],
                          capture_output=True, text=True, check=True)
    print(json.dumps(done.stdout))
"""


def test_status_shows_what_is_used_and_what_waits(command, environment):
    assert command("start", "--head", "--num-cpus", "2", "--resources", '{"disk": 2}')[0] == 0
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    facts, text = map(json.loads, done.stdout.splitlines())
    facts = json.loads(facts)
    used = {row["resource"]: row["used"] for row in facts["resources"]}
    assert used["disk"] == 1 and used["CPU"] == 0 and used["object_store_memory"] >= 10_000_000
    demands = {demand["what"]: demand for demand in facts["demands"]}
    assert demands["task"]["resources"] == {"CPU": 1.0, "GPU": 3.0}
    assert "no node can ever" in demands["task"]["reason"]
    assert demands["actor Holder"]["resources"] == {"nowhere": 1.0}
    kinds = [(process["kind"], process["what"]) for process in facts["processes"]]
    assert ("worker", "actor Holder") in kinds and ("driver", "job 1") in kinds
    assert {("program", "eagleray-node"), ("program", "eagleray-control")} <= set(kinds)
    for part in ("{'CPU': 1.0, 'GPU': 3.0}: 1+ task", "[{'CPU': 50.0}] (PACK)", "actor Holder"):
        assert part in text
    assert "PENDING, 1 bundle(s)" in text


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["start"], 2, "--head"),
        (["start", "--head", "--resources", "{bad"], 2, "not JSON"),
        (["start", "--head", "--resources", "[1]"], 2, "no JSON object"),
        (["start", "--head", "--labels", "zone"], 2, "zone=a,tier=gold"),
        (["start", "--head", "--port", "99999"], 2, "65535"),
        (["start", "--head", "--no-such"], 2, "No such option"),
        (["start", "--head", "--num-cpus", "-1"], 1, "num_cpus"),
        (["start", "--head", "--resources", '{"CPU": 1}'], 1, "num_cpus"),
        (["start", "--head", "--object-store-memory", "5"], 1, "minimum"),
        (["start", "--head", "--system-config", '{"none_such": 1}'], 1, "none_such"),
        (["start", "--head", "--node-ip-address", "here"], 1, "address"),
        (["start", "--address", "10.0.0.1:6379"], 1, "several machines"),
        (["start", "--head", "--proxy-server-url", "x"], 1, "is not implemented"),
        (["start", "--head", "--dashboard-port", "99999"], 2, "65535"),
        (["start", "--head", "--enable-resource-isolation"], 1, "resource isolation"),
        (["start", "--head", "--node-name", "x"], 1, "several machines"),
        (["run", "/no/such/file.py"], 2, "does not exist"),
        (["none-such"], 2, "No such command"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else str(each),
)
def test_exit_status_of_what_cannot_be_done(command, arguments, status, says):
    found, text = command(*arguments)
    assert found == status and says in text, text
    assert "Traceback" not in text


def test_labels_come_from_a_file_too(command, environment, tmp_path):
    labels = tmp_path / "labels.yaml"
    labels.write_text('# of this machine\nzone: a\n"tier": "gold"\n')
    assert command("start", "--head", "--labels-file", str(labels), "--labels", "zone=b")[0] == 0
    facts = json.loads(command("status", "--json")[1])
    shown = facts["nodes"][0]["Labels"]
    assert (shown["zone"], shown["tier"]) == ("b", "gold")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, "stop", "killed"])
def test_block_stays_until_the_node_ends(command, environment, ending):
    process = subprocess.Popen(
        [sys.executable, "-m", "eagleray", "start", "--head", "--block", "--num-cpus", "1"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        # As at a terminal: a shell's background job would ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    node = int(process.stdout.readline().split("process ", 1)[1].split(",")[0])
    for _ in range(2):
        process.stdout.readline()
    if ending == "stop":
        assert command("stop")[0] == 0
    elif ending == "killed":
        os.kill(node, signal.SIGKILL)
    else:
        process.send_signal(ending)
    assert process.wait(60) == (1 if ending == "killed" else 0)
    process.stdout.close()
    wait_for(lambda: not alive(node))
    assert command("status")[0] == 1


def test_doctor(command, tmp_path):
    status, text = command("doctor", "--json")
    findings = json.loads(text)
    assert status == (0 if all(finding["good"] for finding in findings) else 1)
    told = " ".join(finding["what"] for finding in findings)
    for what in ("open files", "shared memory", "cgroup", "clock", "kernel", "sessions"):
        assert what in told
    status, text = command("doctor", "--temp-dir", str(tmp_path / ("long" * 30)))
    assert status == 1 and "pass a shorter --temp-dir" in text
