"""`Cluster` of one node, and what else tests of packages around Ray take from its inside."""

from __future__ import annotations

import pytest
from _support import run_program

pytestmark = pytest.mark.only_eagleray


@pytest.fixture(autouse=True)
def no_other_cluster(monkeypatch, tmp_path):
    monkeypatch.setenv("EAGLERAY_TMPDIR", str(tmp_path))


def test_a_cluster_of_one_node():
    printed, _ = run_program(
        """
import subprocess, sys
import eagleray as ray
from eagleray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 3, "resources": {"disk": 1}})
other = "import eagleray as ray; ray.init('auto'); print(ray.cluster_resources()['disk'])"
print(subprocess.check_output([sys.executable, "-c", other], text=True), end="")
ray.init(cluster.address)
print(ray.cluster_resources()["CPU"], ray.get(ray.remote(lambda: 7).remote()))
print(ray._private.state.cluster_resources() == ray.cluster_resources())
try:
    cluster.add_node()
except NotImplementedError as error:
    print("several nodes" in str(error))
assert cluster.list_all_nodes() == [cluster.head_node]
ray.shutdown()
cluster.shutdown()
print(cluster.address, cluster.list_all_nodes())
try:
    ray.init("auto")
except ConnectionError:
    print("gone")
"""
    )
    assert printed.splitlines() == ["1.0", "3.0 7", "True", "True", "None []", "gone"]


def test_a_cluster_that_is_connected_at_once():
    printed, _ = run_program(
        """
import eagleray as ray
from eagleray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, connect=True)
print(ray.cluster_resources()["CPU"], cluster.connected)
for arguments, error in [
    ({"connect": True}, RuntimeError),
    ({"initialize_head": True, "head_node_args": {"num_cpus": -1}}, ValueError),
    ({"initialize_head": True, "head_node_args": {"node_name": "a"}}, NotImplementedError),
]:
    try:
        Cluster(**arguments)
        print("no error", arguments)
    except error:
        pass
"""
    )
    assert printed.splitlines() == ["1.0 True"]


def test_what_packages_ask_of_the_state():
    printed, _ = run_program(
        """
import eagleray as ray
from eagleray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from eagleray.experimental.state.api import list_nodes

ray.init(num_cpus=2)
group = ray.util.placement_group([{"CPU": 1}])
ray.get(group.ready())
state = ray._private.state.state
[node] = [node.node_id for node in list_nodes()]
print(state.placement_group_table(group.id)["bundles_to_node_id"] == {0: node})
print(list(state.placement_group_table()) == [group.id.hex()])
print(state.total_resources_per_node()[node]["CPU"])
print(ray._private.state.available_resources_per_node()[node]["CPU"])
print(RAY_JOB_CONFIG_JSON_ENV_VAR)
"""
    )
    assert printed.splitlines() == ["True", "True", "2.0", "1.0", "RAY_JOB_CONFIG_JSON_ENV_VAR"]


def test_how_full_memory_and_the_store_are():
    printed, _ = run_program(
        """
import eagleray as ray
from eagleray._private.internal_api import memory_summary
from eagleray._private.utils import get_system_memory, get_used_memory

ray.init(num_cpus=1)
kept = ray.put(b"x")
print(kept.hex() in memory_summary(), kept.hex() in memory_summary(stats_only=True))
print(0 < get_used_memory() < get_system_memory())
"""
    )
    assert printed.splitlines() == ["True False", "True"]


def test_a_field_of_an_environment_that_nobody_knows_is_carried_and_said_once():
    printed, errors = run_program(
        """
import os
import eagleray as ray

ray.init(num_cpus=1, runtime_env={"OF_THE_JOB": "1"})

@ray.remote(runtime_env={"MARK": "2", "env_vars": {"A": "b"}})
def environment():
    found = ray.get_runtime_context().runtime_env
    return found["OF_THE_JOB"], found["MARK"], os.environ["A"]

print(ray.get([environment.remote(), environment.remote()]))
"""
    )
    assert printed.strip() == str([("1", "2", "b")] * 2)
    assert errors.count("Unknown field 'MARK' in runtime_env: nothing reads it.") == 1
