"""What the state API says of tasks that fail, are tried again or start others, of workers that end, and of borrowers."""

import os
import signal
import time

import pytest
from _support import PEER, ray, wait_for, waits_for
from eagleray._state_rows import Lookout
from eagleray.util import state

pytestmark = pytest.mark.skipif(PEER, reason="needs Ray's dashboard")


@ray.remote(max_retries=0)
def bad():
    raise ValueError("no such luck")


def test_a_borrower_is_named(cluster):
    @ray.remote(num_cpus=0)
    class Keeper:
        def keep(self, refs):
            self.refs = refs
            return os.getpid()

    keeper = Keeper.remote()
    mine = ray.put("mine")
    pid = ray.get(keeper.keep.remote([mine]))

    def rows():
        return {row.pid: row for row in state.get_objects(mine.hex())}

    wait_for(lambda: pid in rows() and pid in rows()[os.getpid()].borrower_pids)
    assert rows()[pid].owner_pid == os.getpid()
    ray.kill(keeper)


def test_workers_and_how_they_ended(cluster, tmp_path):
    @ray.remote(max_retries=0)
    def dies():
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(dies.remote())
    task = state.list_tasks(filters=[("name", "=", "dies")], detail=True)[0]
    assert (task.state, task.error_type) == ("FAILED", "WORKER_DIED")
    worker = state.list_workers(filters=[("pid", "=", task.worker_pid)], detail=True)[0]
    assert (worker.is_alive, worker.exit_type) == (False, "SYSTEM_ERROR")
    assert worker.start_time_ms <= worker.end_time_ms
    waits = waits_for(tmp_path / "never", num_cpus=1).remote()
    wait_for(lambda: state.get_task(waits).state == "RUNNING")
    ray.cancel(waits, force=True)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(waits)
    pid = state.get_task(waits).worker_pid
    wait_for(lambda: not state.list_workers(filters=[("pid", "=", pid)])[0].is_alive)
    worker = state.list_workers(filters=[("pid", "=", pid)], detail=True)[0]
    assert worker.exit_type == "INTENDED_USER_EXIT" and "cancelled" in worker.exit_detail
    drivers = state.list_workers(filters=[("worker_type", "=", "DRIVER")])
    assert [d.pid for d in drivers] == [os.getpid()]
    events = state.list_cluster_events(filters=[("severity", "=", "ERROR")], limit=1000)
    assert any(str(task.worker_pid) in event.message for event in events)


def test_each_attempt_is_listed(cluster, tmp_path):
    @ray.remote(max_retries=2, retry_exceptions=True)
    def third_time(path):
        with open(path, "a") as file:
            file.write("x")
        if os.path.getsize(path) < 3:
            raise OSError("not yet")
        return "done"

    ref = third_time.remote(str(tmp_path / "tries"))
    assert ray.get(ref) == "done"
    attempts = state.get_task(ref)
    assert [(t.attempt_number, t.state) for t in attempts] == [
        (0, "FAILED"),
        (1, "FAILED"),
        (2, "FINISHED"),
    ]
    assert "not yet" in attempts[0].error_message


def test_failures_by_their_cause(cluster, tmp_path):
    @ray.remote
    def takes(x):
        return x

    with pytest.raises(ValueError):
        ray.get(takes.remote(bad.remote()))
    failed = state.list_tasks(filters=[("name", "=", "takes")])[0]
    assert failed.error_type == "DEPENDENCY_RESOLUTION_FAILED" and failed.worker_pid is None
    waits = takes.remote(waits_for(tmp_path / "go", num_cpus=1).remote())
    ray.cancel(waits)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(waits)
    assert state.get_task(waits).error_type == "TASK_CANCELLED"
    (tmp_path / "go").touch()


def test_a_constructor_that_runs_is_told_with_its_worker_and_its_log(cluster, tmp_path):
    @ray.remote(num_cpus=0)
    class Slow:
        def __init__(self, path):
            print("begun", flush=True)
            wait_for(path.exists)

        def ready(self):
            return os.getpid()

    actor = Slow.remote(tmp_path / "go")
    mine = [("actor_id", "=", actor._actor_id.hex())]
    wait_for(lambda: state.list_tasks(filters=mine)[0].state == "RUNNING")
    pid = state.list_tasks(filters=mine)[0].worker_pid
    wait_for(lambda: list(state.get_log(actor_id=actor._actor_id.hex(), tail=1)) == ["begun\n"])
    (tmp_path / "go").touch()
    assert ray.get(actor.ready.remote()) == pid
    ray.kill(actor)
    wait_for(lambda: state.get_actor(actor._actor_id.hex()).state == "DEAD")
    assert state.get_actor(actor._actor_id.hex()).pid == pid
    assert list(state.get_log(actor_id=actor._actor_id.hex(), tail=1)) == ["begun\n"]


def test_what_actors_hold_and_which_groups_are_detached(cluster):
    @ray.remote
    class Holder:
        pass

    actors = [Holder.remote(), Holder.options(num_cpus=0.5).remote()]
    ray.get([actor.__ray_ready__.remote() for actor in actors])
    rows = [state.get_actor(actor._actor_id.hex()) for actor in actors]
    assert [row.required_resources for row in rows] == [{}, {"CPU": 0.5}]
    groups = [
        ray.util.placement_group([{"CPU": 0.01}], lifetime=lifetime)
        for lifetime in (None, "detached")
    ]
    rows = [state.get_placement_group(group.id.hex()) for group in groups]
    assert [row.is_detached for row in rows] == [False, True]
    for actor in actors:
        ray.kill(actor)
    for group in groups:
        ray.util.remove_placement_group(group)


def test_a_constructor_that_runs_again_has_no_end(cluster, tmp_path):
    @ray.remote(num_cpus=0, max_restarts=1)
    class Slow:
        def __init__(self, path):
            wait_for(path.exists)
            path.unlink()

        def pid(self):
            return os.getpid()

    (tmp_path / "go").touch()
    actor = Slow.remote(tmp_path / "go")
    os.kill(ray.get(actor.pid.remote()), signal.SIGKILL)

    def creation():
        kind = ("type", "=", "ACTOR_CREATION_TASK")
        return state.list_tasks(filters=[kind, *mine], detail=True)[0]

    mine = [("actor_id", "=", actor._actor_id.hex())]
    wait_for(lambda: creation().attempt_number == 1 and creation().state == "RUNNING")
    assert creation().end_time_ms is None
    before = time.time_ns() // 1_000_000 - 1
    (tmp_path / "go").touch()
    wait_for(lambda: creation().state == "FINISHED")
    assert creation().end_time_ms >= before


def test_an_actor_made_during_a_look_is_not_taken_for_one_of_eagleray_s(cluster):
    look = Lookout()
    before = look.actor_rows.keys()

    @ray.remote(num_cpus=0)
    class New:
        pass

    actor = New.remote()
    mine = actor._actor_id.hex()
    wait_for(lambda: mine in [each.actor_id for each in state.list_actors()])
    assert mine not in look.internal_actors and before == look.actor_rows.keys()


def test_a_constructor_that_failed_says_why(cluster):
    @ray.remote(num_cpus=0)
    class Bad:
        def __init__(self):
            raise ValueError("no way")

        def method(self):
            pass

    actor = Bad.remote()
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(actor.method.remote())
    row = state.get_actor(actor._actor_id.hex())
    [(context, cause)] = row.death_cause.items()
    assert context == "creation_task_failure_context"
    assert "ValueError: no way" in cause["formatted_exception_string"]
    mine = [("actor_id", "=", actor._actor_id.hex())]
    tasks = {task.type: task for task in state.list_tasks(filters=mine, detail=True)}
    made, call = tasks["ACTOR_CREATION_TASK"], tasks["ACTOR_TASK"]
    assert (made.state, made.error_type) == ("FAILED", "TASK_EXECUTION_EXCEPTION")
    assert "ValueError: no way" in made.error_message
    assert made.creation_time_ms <= made.start_time_ms <= made.end_time_ms
    assert (call.state, call.error_type) == ("FAILED", "ACTOR_DIED")
    assert call.error_message == made.error_message


@pytest.mark.parametrize("before", ["", "x"])
def test_what_a_constructor_raised_is_cut_between_characters(cluster, before):
    @ray.remote(num_cpus=0)
    class Fails:
        def __init__(self):
            raise ValueError(before + "ä" * 5_000)

    actor = Fails.remote()
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(actor.__ray_ready__.remote())
    wait_for(lambda: state.get_actor(actor._actor_id.hex()).state == "DEAD")
    cause = state.get_actor(actor._actor_id.hex()).death_cause
    text = cause["creation_task_failure_context"]["formatted_exception_string"]
    assert "ä" * 400 in text and "\ufffd" not in text


@pytest.mark.parametrize("how", ["plain", "async", "threads"])
def test_a_call_that_ends_its_actor_has_done_its_work(cluster, how):
    class Leaves:
        def fails(self):
            raise ValueError("not this one")

        def leave(self):
            ray.actor.exit_actor()

    class LeavesLater(Leaves):
        async def leave(self):
            ray.actor.exit_actor()

    options = {"max_concurrency": 2} if how == "threads" else {}
    actor = ray.remote(LeavesLater if how == "async" else Leaves).options(**options).remote()
    with pytest.raises(ValueError):
        ray.get(actor.fails.remote())
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(actor.leave.remote())
    mine = [("actor_id", "=", actor._actor_id.hex()), ("type", "=", "ACTOR_TASK")]
    states = {row.name.split(".")[-1]: row.state for row in state.list_tasks(filters=mine)}
    assert states == {"fails": "FAILED", "leave": "FINISHED"}


def test_times_of_a_constructor(cluster, tmp_path):
    @ray.remote(num_cpus=0)
    class Slow:
        def __init__(self, path):
            wait_for(path.exists)

        def ready(self):
            pass

    actor = Slow.remote(tmp_path / "go")
    mine = [("actor_id", "=", actor._actor_id.hex()), ("type", "=", "ACTOR_CREATION_TASK")]
    wait_for(lambda: state.list_tasks(filters=mine)[0].state == "RUNNING")
    row = state.list_tasks(filters=mine, detail=True)[0]
    assert row.creation_time_ms <= row.start_time_ms and row.end_time_ms is None
    (tmp_path / "go").touch()
    ray.get(actor.ready.remote())
    ended = state.list_tasks(filters=mine, detail=True)[0]
    assert (ended.creation_time_ms, ended.start_time_ms) == (
        row.creation_time_ms,
        row.start_time_ms,
    )
    assert ended.end_time_ms >= ended.start_time_ms
    assert [e["state"] for e in ended.events][-2:] == ["RUNNING", "FINISHED"]
    ray.kill(actor)


def test_label_selectors_are_told(cluster):
    node = {"ray.io/node-id": ray.nodes()[0]["NodeID"]}

    @ray.remote(num_cpus=0)
    class Anywhere:
        pass

    actors = [Anywhere.remote(), Anywhere.options(label_selector=node).remote()]
    ray.get([actor.__ray_ready__.remote() for actor in actors])
    rows = [state.get_actor(actor._actor_id.hex()) for actor in actors]
    assert [row.label_selector for row in rows] == [{}, node]
    bundles = [{"CPU": 0.01}, {"CPU": 0.01}]
    groups = [
        ray.util.placement_group(bundles),
        ray.util.placement_group(bundles, bundle_label_selector=[node, {}]),
    ]
    rows = [state.get_placement_group(group.id.hex()) for group in groups]
    told = [[bundle["label_selector"] for bundle in row.bundles] for row in rows]
    assert told == [[{}, {}], [node, {}]]
    for actor in actors:
        ray.kill(actor)
    for group in groups:
        ray.util.remove_placement_group(group)


def test_children_know_their_parent(cluster):
    @ray.remote
    def child():
        return 1

    @ray.remote
    def parent():
        return ray.get(child.remote())

    ref = parent.remote()
    ray.get(ref)
    row = state.list_tasks(filters=[("name", "=", "child")])[0]
    assert row.parent_task_id == ref.task_id().hex()
    assert state.list_tasks(filters=[("parent_task_id", "=", row.parent_task_id)]) == [row]


def test_environments_that_were_built_and_that_were_not(cluster):
    env = {"env_vars": {"COLOUR": "blue"}, "pip": ["no-such-package-of-anybody==1"]}

    @ray.remote(runtime_env=env, max_retries=0)
    def never_runs():
        pass

    ref = never_runs.remote()
    with pytest.raises(ray.exceptions.RuntimeEnvSetupError):
        ray.get(ref)
    assert state.get_task(ref).error_type == "RUNTIME_ENV_SETUP_FAILED"
    assert ref.task_id().hex() in {
        t.task_id for t in state.list_tasks(filters=[("state", "=", "FAILED")])
    }
    row = next(r for r in state.list_runtime_envs(detail=True) if "pip" in r.runtime_env)
    assert (row.success, row.error is None) == (False, False) and row.creation_time_ms > 0
