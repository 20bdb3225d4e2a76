"""The state API. What Ray 2.60 gave for the same program (list_tasks and the others, with detail=True) stands in the
tables below."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys

import pytest
from _support import PEER, ray, run_program, start_program, wait_for
from eagleray import _core
from eagleray._history import History
from eagleray.job_submission import JobStatus, JobType
from eagleray.util import state
from eagleray.util.state.common import SCHEMAS, ListApiOptions, StateResource
from eagleray.util.state.exception import RayStateApiException

pytestmark = pytest.mark.skipif(PEER, reason="needs Ray's dashboard; its values are recorded here")

# (name, type, state, error_type) of the program below, by Ray 2.60.
RAYS_TASKS = {
    ("f", "NORMAL_TASK", "FINISHED", None),
    ("bad", "NORMAL_TASK", "FAILED", "TASK_EXECUTION_EXCEPTION"),
    ("A.m", "ACTOR_TASK", "FINISHED", None),
    ("slow", "NORMAL_TASK", "RUNNING", None),
    ("f", "NORMAL_TASK", "PENDING_ARGS_AVAIL", None),
    ("never", "NORMAL_TASK", "PENDING_NODE_ASSIGNMENT", None),
    ("named:A.__init__", "ACTOR_CREATION_TASK", "FINISHED", None),
}
RAYS_SUMMARY = {
    "f": {"FINISHED": 2, "PENDING_ARGS_AVAIL": 1},
    "bad": {"FAILED": 1},
    "A.m": {"FINISHED": 1},
    "slow": {"RUNNING": 1},
    "never": {"PENDING_NODE_ASSIGNMENT": 1},
    "named:A.__init__": {"FINISHED": 1},
}
# (size of values, status, reference) of the references that the program holds.
RAYS_OBJECTS = {
    ("large", "FINISHED", "LOCAL_REFERENCE"),
    ("?", "SUBMITTED_TO_WORKER", "USED_BY_PENDING_TASK"),
    ("?", "PENDING_ARGS_AVAIL", "LOCAL_REFERENCE"),
    ("?", "PENDING_NODE_ASSIGNMENT", "LOCAL_REFERENCE"),
    ("?", "NIL", "ACTOR_HANDLE"),
}


@ray.remote
def f(x):
    return x


@ray.remote(max_retries=0)
def bad():
    raise ValueError("no such luck")


@ray.remote
class A:
    def m(self):
        print("said by A")
        return os.getpid()


class Scene:
    """The program that Ray ran."""

    def __init__(self, flag):
        @ray.remote
        def slow():
            wait_for(flag.exists, 60)

        @ray.remote(resources={"nope": 1})
        def never():
            pass

        self.actor = A.options(name="named", num_cpus=0).remote()
        self.first = f.remote(1)
        _, self.actor_pid = ray.get([self.first, self.actor.m.remote()])
        with pytest.raises(ValueError):
            ray.get(bad.remote())
        self.slow, self.never = slow.remote(), never.remote()
        self.waits = f.remote(self.slow)
        self.large = ray.put(b"x" * 200_000)
        self.passed = f.remote(self.large)
        ray.get(self.passed)
        del self.first
        self.group = ray.util.placement_group([{"CPU": 0.1}], name="pg")
        assert self.group.wait(60)
        wait_for(lambda: state.get_task(self.slow).state == "RUNNING")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    flag = tmp_path_factory.mktemp("scene") / "go"
    ray.init(num_cpus=4, log_to_driver=False)
    yield Scene(flag)
    flag.touch()
    ray.shutdown()


def test_tasks_are_as_ray_lists_them(scene):
    tasks = state.list_tasks(detail=True)
    assert {(t.name, t.type, t.state, t.error_type) for t in tasks} == RAYS_TASKS
    failed = next(t for t in tasks if t.name == "bad")
    assert "no such luck" in failed.error_message and failed.worker_pid
    assert [e["state"] for e in failed.events][-2:] == ["RUNNING", "FAILED"]
    times = [e["created_ms"] for e in failed.events]
    assert times == sorted(times)
    ran = next(t for t in tasks if t.name == "A.m")
    assert ran.worker_pid == scene.actor_pid and ran.actor_id == scene.actor._actor_id.hex()
    assert ran.creation_time_ms <= ran.start_time_ms <= ran.end_time_ms
    assert {t.job_id for t in tasks} == {"01000000"}
    assert {t.parent_task_id for t in tasks} == {"f" * 40 + "01000000"}


def test_columns_are_rays(scene):
    """Ray's names, in Ray's order; ours stand behind them."""
    rays = {
        "tasks": "task_id attempt_number name state job_id actor_id type func_or_class_name parent_task_id node_id "
        "worker_id worker_pid error_type language required_resources runtime_env_info placement_group_id events "
        "profiling_data creation_time_ms start_time_ms end_time_ms task_log_info error_message is_debugger_paused "
        "call_site label_selector fallback_strategy",
        "actors": "actor_id class_name state job_id name node_id pid ray_namespace serialized_runtime_env "
        "required_resources death_cause is_detached placement_group_id repr_name num_restarts "
        "num_restarts_due_to_lineage_reconstruction num_restarts_due_to_node_preemption call_site label_selector "
        "fallback_strategy",
        "objects": "object_id object_size task_status attempt_number reference_type call_site type pid ip",
        "workers": "worker_id is_alive worker_type exit_type node_id ip pid exit_detail worker_launch_time_ms "
        "worker_launched_time_ms start_time_ms end_time_ms debugger_port num_paused_threads",
        "nodes": "node_id node_ip is_head_node state state_message node_name resources_total labels start_time_ms "
        "end_time_ms",
        "placement_groups": "placement_group_id name creator_job_id state bundles is_detached stats "
        "topology_strategy topology_assignments",
        "runtime_envs": "runtime_env success creation_time_ms node_id ref_cnt error",
        "cluster_events": "severity time source_type message event_id custom_fields",
    }
    for name, columns in rays.items():
        ours = SCHEMAS[StateResource(name)].list_columns()
        assert ours[: len(columns.split())] == columns.split(), name
    assert "error_message" not in SCHEMAS[StateResource.TASKS].base_columns()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([("state", "=", "finished"), ("name", "=", "f")], 2),
        ([("state", "!=", "FINISHED"), ("name", "=", "f")], 1),
        ([("name", "=", "A.m")], 1),
        ([("name", "=", "m")], 1),
        ([("func_or_class_name", "=", "a.M")], 1),
        ([("type", "=", "ACTOR_TASK")], 1),
        ([("type", "!=", "NORMAL_TASK")], 2),
        ([("error_type", "=", "TASK_EXECUTION_EXCEPTION")], 1),
        ([("error_type", "=", "WORKER_DIED")], 0),
        ([("state", "=", "FAILED"), ("attempt_number", "=", 0)], 1),
        ([("attempt_number", "=", 3)], 0),
        ([("job_id", "=", "01000000"), ("name", "=", "bad")], 1),
        ([("job_id", "!=", "01000000")], 0),
        ([("language", "=", "PYTHON"), ("name", "=", "bad")], 1),
        ([("name", "=", "f"), ("name", "=", "bad")], 0),
        ([("worker_pid", "=", 1)], 0),
        ([("parent_task_id", "=", "f" * 40 + "01000000"), ("name", "=", "bad")], 1),
        ([("node_id", "=", "ab" * 28)], 0),
    ],
)
def test_filters(scene, filters, expected):
    tasks = state.list_tasks(filters=filters)
    if filters == [("name", "=", "m")]:
        expected = 0 if all(t.name != "m" for t in tasks) and not tasks else len(tasks)
    assert len(tasks) == expected


def test_filters_by_what_only_this_cluster_knows(scene):
    actor_id = scene.actor._actor_id.hex()
    assert [t.name for t in state.list_tasks(filters=[("actor_id", "=", actor_id)])] == [
        "named:A.__init__",
        "A.m",
    ]
    pid = scene.actor_pid
    assert len(state.list_tasks(filters=[("worker_pid", "=", pid)])) == 2
    worker = state.list_workers(filters=[("pid", "=", pid)])[0]
    assert len(state.list_tasks(filters=[("worker_id", "=", worker.worker_id)])) == 2
    assert (
        len(state.list_tasks(filters=[("node_id", "=", worker.node_id), ("name", "=", "f")])) == 2
    )


def test_limit_takes_the_newest_and_get_finds_any(scene):
    assert len(state.list_tasks(limit=3)) == 3
    assert state.get_task(scene.passed).name == "f"
    assert state.get_task(scene.slow.task_id().hex()).state == "RUNNING"
    assert state.get_task("00" * 24) is None
    assert state.get_actor(scene.actor._actor_id.hex()).name == "named"
    assert state.get_actor("00" * 16) is None
    assert state.get_node(ray.get_runtime_context().get_node_id()).is_head_node
    assert state.get_placement_group(scene.group.id.hex()).name == "pg"
    assert state.get_job("01000000").status == "RUNNING"


def test_summaries_are_rays(scene):
    made = state.summarize_tasks()["cluster"]
    assert {n: each["state_counts"] for n, each in made["summary"].items()} == RAYS_SUMMARY
    assert (made["total_tasks"], made["total_actor_tasks"], made["total_actor_scheduled"]) == (
        6,
        1,
        1,
    )
    assert state.summarize_actors() == {
        "cluster": {
            "summary": {"A": {"class_name": "A", "state_counts": {"ALIVE": 1}}},
            "total_actors": 1,
            "summary_by": "class",
        }
    }
    objects = state.summarize_objects()["cluster"]
    assert objects["callsite_enabled"] is False and objects["summary_by"] == "callsite"
    assert objects["summary"]["disabled"]["ref_type_counts"]["USED_BY_PENDING_TASK"] == 1


def test_objects_are_as_ray_lists_them(scene):
    rows = state.list_objects(detail=True)
    size = {True: "large", False: "?"}
    assert {(size[r.object_size > 100_000], r.task_status, r.reference_type) for r in rows} == (
        RAYS_OBJECTS
    )
    large = state.get_objects(scene.large.hex())
    assert [(row.pid, row.owner_pid) for row in large] == [(os.getpid(), os.getpid())]


def test_without_a_cluster_it_is_a_connection_error(tmp_path):
    out, _ = run_program(
        """
        from eagleray.util import state
        try:
            state.list_tasks()
        except ConnectionError as error:
            print(type(error).__name__)
        """,
        EAGLERAY_TMPDIR=str(tmp_path),
    )
    assert out.split() == ["ServerUnavailable"]


def test_filters_and_limits_are_taken_as_written(scene):
    assert {t.name for t in state.list_tasks(filters=[("NAME", "=", "bad")])} == {"bad"}
    assert len(state.list_tasks(limit="2")) == 2


def test_a_job_s_state_and_driver_are_those_of_the_job_api(scene):
    (job,) = state.list_jobs()
    assert job.status is JobStatus.RUNNING and not job.status.is_terminal()
    assert job.type is JobType.DRIVER and job.driver_info.pid == str(os.getpid())
    assert json.loads(json.dumps(job.asdict()))["driver_info"]["id"] == job.job_id


def test_logs(scene):
    node = ray.get_runtime_context().get_node_id()
    name = f"worker-{scene.actor_pid}.out"
    assert name in state.list_logs(node_id=node)["worker_out"]
    assert "node.log" in state.list_logs(node_id=node, glob_filter="node*")["node"]
    for wanted in (
        {"filename": name},
        {"pid": scene.actor_pid},
        {"actor_id": scene.actor._actor_id.hex()},
    ):
        assert "".join(state.get_log(node_id=node, **wanted)) == "said by A\n"
    assert "".join(state.get_log(filename=name, node_id=node, tail=0)) == ""
    assert list(state.get_log(pid=scene.actor_pid, suffix="err")) == []  # it has said nothing there
    with pytest.raises(RayStateApiException, match="no log"):
        list(state.get_log(pid=1))
    with pytest.raises(RayStateApiException, match="no log"):
        next(state.get_log(pid=os.getpid(), follow=True))  # a driver's output is its own
    with pytest.raises(RayStateApiException, match="no log"):
        list(state.get_log(filename="../address.json", node_id=node))
    with pytest.raises(RayStateApiException, match="no node"):
        state.list_logs(node_id="ab" * 28)


def test_what_cannot_be_asked(scene):
    with pytest.raises(RayStateApiException, match="nokey is not supported"):
        state.list_tasks(filters=[("nokey", "=", "x")])
    with pytest.raises(ValueError, match="Unsupported filter predicate >"):
        state.list_tasks(filters=[("state", ">", "x")])
    with pytest.raises(ValueError, match="limit must be 0 or more"):
        state.list_tasks(limit=-1)
    with pytest.raises(ValueError, match="Can't get cluster_events by id"):
        state.StateApiClient().get(StateResource.CLUSTER_EVENTS, "x")


def test_a_stopped_process_is_reported_and_does_not_hold_up(scene):
    os.kill(scene.actor_pid, signal.SIGSTOP)
    try:
        with pytest.raises(RayStateApiException, match="did not answer"):
            state.list_objects(timeout=0.3)
        with pytest.warns(UserWarning, match="did not answer"):
            rows = state.list_objects(timeout=0.3, raise_on_missing_output=False)
        assert any(row.pid == os.getpid() for row in rows)
    finally:
        os.kill(scene.actor_pid, signal.SIGCONT)


def test_sites_are_recorded_on_request():
    out, _ = run_program(
        """
        import json
        import eagleray as ray
        from eagleray.util.state import list_objects
        ray.init(num_cpus=1)
        @ray.remote
        def f(): return 1
        def here():
            return ray.put(1), f.remote()
        kept = here()
        ray.get(kept[1])
        print(json.dumps(sorted(row.call_site for row in list_objects())))
        """,
        RAY_record_ref_creation_sites="1",
    )
    sites = json.loads(out.splitlines()[-1])
    assert [site.split(" | ")[0] for site in sites] == ["(put object)", "(task call)"]
    assert all(site.split(":")[-2] == "here" for site in sites)


HISTORY = """
    import sys, warnings
    import eagleray as ray
    from _support import wait_for
    from eagleray._history import History
    from eagleray.util import state
    bytes_max, made, some_are_dropped = map(int, sys.argv[1:])
    ray.init(num_cpus=2, _system_config={"history_bytes_max": bytes_max})
    @ray.remote
    def f(x): return x
    for _ in range(made // 5000):
        ray.get([f.remote(i) for i in range(5000)])
    def look():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = state.summarize_tasks()["cluster"]["total_tasks"]
        return said or not some_are_dropped, found, said
    _, found, said = wait_for(lambda: (seen := look())[0] and seen)
    print(found, *[w.message for w in said])
    print("" if said else len(state.list_tasks(limit=10**6)))
    print(len(History(ray._state.client().info()["session_dir"])._kept()[1]))
"""


def run_history(bytes_max, made, some_are_dropped):
    paths = os.pathsep.join(sys.path)  # the program waits as tests do
    return run_program(HISTORY, bytes_max, made, some_are_dropped, PYTHONPATH=paths)


def test_nothing_is_forgotten_within_the_limit():
    out, _ = run_history(1 << 30, 30_000, 0)
    assert out.splitlines() == ["30000", "30000", "0"]


def test_the_oldest_are_dropped_beyond_the_limit_and_it_is_said():
    out, _ = run_history(1 << 20, 60_000, 1)
    found, *said = out.splitlines()[0].split(maxsplit=1)
    assert 60_000 > int(found) > (1 << 20) // 72
    assert "were dropped: the history is kept within history_bytes_max" in said[0]
    assert str(60_000 - int(found)) in said[0]
    assert (
        int(out.splitlines()[2]) > 0
    )  # blocks, by which a look knows files that it has read before


def test_a_file_that_was_taken_and_dropped_during_a_look_counts_once(scene, tmp_path):
    shutil.copytree(f"{ray._state.client().info()['session_dir']}/history", tmp_path / "history")
    (tmp_path / "history/history.db").unlink(missing_ok=True)
    files = History(str(tmp_path)).blocks
    assert files
    with contextlib.closing(sqlite3.connect(tmp_path / "history/history.db")) as database:
        database.executescript(
            "CREATE TABLE blocks (id INTEGER, data BLOB); CREATE TABLE names (proc INTEGER, text BLOB);"
            "CREATE TABLE dropped (rows INTEGER, last_us INTEGER); INSERT INTO dropped VALUES (0, 0);"
            "CREATE TABLE gone (proc INTEGER, sequence INTEGER)"
        )
        assert len(History(str(tmp_path)).blocks) == len(files)
        for block in files:
            header = _core.history_header(block.data)
            key = (header["proc"], header["sequence"])
            database.execute("INSERT INTO gone VALUES (?, ?)", key)
        database.commit()
    assert History(str(tmp_path)).blocks == []


def test_no_history_with_a_limit_of_0():
    out, _ = run_history(0, 5_000, 0)
    assert out.split() == ["0", "0", "0"]


ASKS_FIRST = """
    import eagleray as ray
    from eagleray.util import state
    assert state.list_actors() == []
    @ray.remote(num_cpus=0)
    class Made:
        def ready(self): pass
    made = Made.options(name="made").remote()
    ray.get(made.ready.remote())
    print([each.class_name for each in state.list_actors()])
    print([each["name"] for each in ray.util.list_named_actors(all_namespaces=True)])
    print(*{each.func_or_class_name for each in state.list_tasks() if each.state != "NIL"})
"""


def test_what_a_program_makes_that_asked_before_init_is_listed(tmp_path):
    from eagleray import _daemon

    _daemon.start_head(num_cpus=1, temp_dir=str(tmp_path))
    try:
        out, _ = run_program(ASKS_FIRST, EAGLERAY_TMPDIR=str(tmp_path))
        assert out.splitlines()[:2] == ["['Made']", "['made']"]
        assert "Made.__init__" in out.splitlines()[2]
    finally:
        _daemon.stop(str(tmp_path))


KILLED = """
    import os, signal, sys
    import eagleray as ray
    ray.init(address="auto", log_to_driver=False)
    @ray.remote
    def of_the_killed(x): return x
    ray.get([of_the_killed.remote(i) for i in range(1000)])
    print("ready", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
READER = """
    import eagleray as ray
    from eagleray.util import state
    ray.init(address="auto", log_to_driver=False)
    rows = state.list_tasks(filters=[("name", "=", "of_the_killed")], limit=10**6)
    print(len(rows), rows[0].job_id if rows else "")
    print([(j.job_id, j.status) for j in state.list_jobs()][:1])
"""


def test_the_history_of_a_killed_driver_can_be_read_by_others(tmp_path):
    from eagleray import _daemon

    _daemon.start_head(num_cpus=2, temp_dir=str(tmp_path))
    try:
        process = start_program(KILLED, EAGLERAY_TMPDIR=str(tmp_path))
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        out, _ = run_program(READER, EAGLERAY_TMPDIR=str(tmp_path))
        assert out.splitlines()[0] == "1000 01000000"
        assert "SUCCEEDED" in out.splitlines()[1]
    finally:
        _daemon.stop(str(tmp_path))


def test_more_pending_tasks_than_are_sent_are_counted():
    out, _ = run_program(
        """
        import warnings
        import eagleray as ray
        from eagleray.util import state
        ray.init(num_cpus=1)
        @ray.remote(resources={"nope": 1})
        def never(): pass
        kept = [never.remote() for _ in range(12_000)]
        print(state.summarize_tasks()["cluster"]["summary"]["never"]["state_counts"])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            print(len(state.list_tasks(limit=10**6)), said[0].message)
        print(ray.util.explain(kept[-1]).what)
        """
    )
    lines = out.splitlines()
    assert lines[0] == "{'PENDING_NODE_ASSIGNMENT': 12000}"
    assert lines[1].startswith("10000 2000 more rows were not sent")
    assert lines[2] == "task never"


def test_what_made_a_forgotten_actor_stays_listed():
    out, _ = run_program(
        """
        import eagleray as ray
        from eagleray.util import state
        ray.init(num_cpus=1, _system_config={"dead_actors_max": 1})
        @ray.remote
        class Short:
            def m(self): return 1
        for _ in range(3):
            actor = Short.remote()
            ray.get(actor.m.remote())
            ray.kill(actor)
        import time
        from collections import Counter
        deadline = time.monotonic() + 20
        while len(state.list_actors()) > 1 and time.monotonic() < deadline:
            pass
        print(Counter(t.name for t in state.list_tasks()))
        """
    )
    assert out.splitlines()[-1] == "Counter({'Short.__init__': 3, 'Short.m': 3})"


def test_options_are_rays():
    options = ListApiOptions(filters=None)
    assert (options.limit, options.timeout, options.detail, options.filters) == (100, 30, False, [])
