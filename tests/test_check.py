"""`eagleray check`: the names of Ray that a program uses, read from its text."""

import json
import subprocess
import sys

import pytest
from _support import PEER
from eagleray import _check

pytestmark = pytest.mark.skipif(PEER, reason="our command")


def states(source):
    return {finding.name: finding.state for finding in _check.check(source)}


def test_names_by_every_kind_of_import():
    found = states("""
import ray
import ray as r
import ray.util.queue as q
from ray.util import ActorPool as Pool, placement_group
from ray import tune
import eagleray

ray.get(1)
r.put(1)
q.Queue()
Pool([])
tune.grid_search([1])
eagleray.wait([])
import numpy
numpy.ray.nothing
""")
    assert set(found.values()) == {"works"}
    assert {"ray.get", "ray.put", "ray.wait", "ray.util.queue.Queue", "ray.util.ActorPool"} <= set(
        found
    )
    assert {"ray.tune.grid_search", "ray.util.placement_group"} <= set(found)
    assert not any("numpy" in name for name in found)


def test_what_does_not_work_is_told_apart():
    found = states("""
import ray
import ray.data
from ray._private import nothing_here
ray.java_function("a", "b")
ray.data.range(3)
ray.no_such_name
ray.get.anything
""")
    assert found["ray.data"] == found["ray.data.range"] == found["ray.java_function"] == "later"
    assert (
        found["ray._private.nothing_here"] == "private" and found["ray.no_such_name"] == "unknown"
    )


def test_options_and_keywords():
    found = states("""
import ray
ray.init(num_cpus=2, include_dashboard=True, include_dashboard_too=1, namespace=name)

@ray.remote(num_cpus=1, max_retry=2, runtime_env={"env_vars": {"A": "b"}, "no_field": 1})
def task(): pass

@ray.remote
class Actor: pass

task.options(num_gpus=1, max_calls=3).remote()
Actor.options(name="a", lifetime="forever", max_restarts=x).remote()
ray.remote(lambda: 1).options(num_returns=0)
ray.get([], timeout=1, time_out=2)
""")
    for name in ("ray.init(num_cpus=)", "ray.init(namespace=)", "ray.remote(num_cpus=)"):
        assert found[name] == "works"
    assert found["runtime_env['env_vars']"] == found["ray.get(timeout=)"] == "works"
    assert found["ray.init(include_dashboard=)"] == "later"
    for name in (
        "ray.init(include_dashboard_too=)",
        "ray.remote(max_retry=)",
        "runtime_env['no_field']",
    ):
        assert found[name] == "unknown"
    assert found["ray.remote.options(max_calls=)"] == found["ray.get(time_out=)"] == "unknown"
    assert found["ray.remote.options(lifetime=)"] == "unknown"
    assert found["ray.remote.options(max_restarts=)"] == "works"


def test_attributes_of_instances():
    found = states("""
from ray.util.queue import Queue
import ray
queue = Queue(maxsize=3)
queue.put_nowait(1); queue.put_later(1); queue.maxsize
context = ray.get_runtime_context()
context.get_job_id(); context.get_nothing()
queue = other()
queue.unknown_to_all
""")
    assert (
        found["ray.util.queue.Queue.put_nowait"] == found["ray.util.queue.Queue.maxsize"] == "works"
    )
    assert found["ray.util.queue.Queue.put_later"] == "unknown"
    assert found["ray.runtime_context.RuntimeContext.get_job_id"] == "works"
    assert found["ray.runtime_context.RuntimeContext.get_nothing"] == "unknown"
    assert not any("unknown_to_all" in name for name in found)


def command(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "eagleray", "check", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_command(tmp_path):
    good, bad, none = tmp_path / "good.py", tmp_path / "bad.py", tmp_path / "none.py"
    good.write_text("import ray\nray.get(1)\nray.get(2)\n")
    bad.write_text("import ray\nray.data.range(3)\nray.get(1)\n")
    none.write_text("print(1)\n")
    status, text = command(good)
    assert status == 0 and "works    ray.get  (line 2,3)" in text and "1 works" in text
    status, text = command(bad, "--problems")
    assert status == 1 and "later    ray.data.range  (line 2)" in text and "ray.get" not in text
    assert "uses nothing of Ray" in command(none)[1]
    status, text = command(tmp_path, "--format", "json")
    reports = {report["file"]: report for report in json.loads(text)}
    assert status == 1 and reports[str(good)]["works"] and not reports[str(bad)]["works"]
    assert reports[str(bad)]["names"][0]["lines"] == [2]
    bad.write_text("def (")
    status, text = command(bad)
    assert status == 1 and "not Python" in text
    assert command(tmp_path / "no_such.py")[0] == 2
