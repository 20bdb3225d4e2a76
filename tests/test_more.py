"""Cancellation, placement groups, utilities, the runtime context, options, local mode."""

import asyncio
import os
import subprocess
import sys
import time

import pytest
from _support import ray, wait_for

pytestmark = pytest.mark.usefixtures("cluster")


def test_cancel_pending_and_running(tmp_path):
    started = tmp_path / "started"

    @ray.remote
    def sleep():
        started.touch()
        time.sleep(1000)

    ref = sleep.remote()
    wait_for(started.exists)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)

    blocked = [sleep.remote() for _ in range(8)]
    ray.cancel(blocked[-1])
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(blocked[-1], timeout=60)
    for each in blocked[:-1]:
        ray.cancel(each, force=True)
    for each in blocked[:-1]:
        with pytest.raises((ray.exceptions.TaskCancelledError, ray.exceptions.WorkerCrashedError)):
            ray.get(each, timeout=60)


def test_an_interrupt_is_never_lost(tmp_path):
    # A signal that arrives between Python's look for signals and sleep()'s system call cuts nothing short.
    started = tmp_path / "started"

    @ray.remote
    def sleep():
        started.touch()
        time.sleep(1000)

    for _ in range(100):
        ref = sleep.remote()
        wait_for(started.exists)
        started.unlink()
        ray.cancel(ref)
        with pytest.raises(ray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=60)


def test_placement_groups():
    group = ray.util.placement_group([{"CPU": 1}, {"CPU": 1}], strategy="PACK")
    assert group.wait(60)
    strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group, 0)

    @ray.remote(num_cpus=1)
    def inside():
        return 1

    assert ray.get(inside.options(scheduling_strategy=strategy).remote()) == 1
    ray.get(group.ready())
    assert ray.util.placement_group_table(group)["state"] == "CREATED"
    free = ray.available_resources().get("CPU", 0)
    ray.util.remove_placement_group(group)
    wait_for(lambda: ray.available_resources().get("CPU", 0) > free)


def test_child_tasks_go_into_the_group_only_when_captured():
    @ray.remote(num_cpus=0)
    def where():
        group = ray.util.get_current_placement_group()
        return group and group.id.hex()

    @ray.remote
    def parent():
        group = ray.util.get_current_placement_group()
        return (
            group.bundle_specs,
            ray.get(where.remote()),
            ray.get(where.options(scheduling_strategy="DEFAULT").remote()),
            ray.get(where.options(placement_group=None).remote()),
        )

    group = ray.util.placement_group([{"CPU": 1}, {"CPU": 1}])
    assert group.wait(60)
    here = group.id.hex()
    for capture, child in ((True, here), (False, None)):
        strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
            group, placement_group_capture_child_tasks=capture
        )
        seen = ray.get(parent.options(scheduling_strategy=strategy).remote())
        assert seen == ([{"CPU": 1.0}, {"CPU": 1.0}], child, None, None)
    assert ray.util.get_current_placement_group() is None
    ray.util.remove_placement_group(group)


@pytest.mark.parametrize("index", [2, -2])
def test_a_bundle_that_is_not_there_is_refused_at_submission(index):
    @ray.remote
    def one():
        return 1

    group = ray.util.placement_group([{"CPU": 1}, {"CPU": 1}])
    assert group.wait(60)
    strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group, index)
    with pytest.raises(ValueError, match=f"bundle index {index} is invalid"):
        one.options(scheduling_strategy=strategy).remote()
    for good in (0, 1, -1):
        strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group, good)
        assert ray.get(one.options(scheduling_strategy=strategy).remote()) == 1
    ray.util.remove_placement_group(group)


def test_an_impossible_group_stays_pending():
    group = ray.util.placement_group([{"CPU": 1000}])
    assert not group.wait(0.1)
    ray.util.remove_placement_group(group)
    with pytest.raises(ValueError):
        ray.util.placement_group([])
    with pytest.raises(ValueError):
        ray.util.placement_group([{"CPU": 1}], strategy="WRONG")


def test_actor_pool():
    @ray.remote(num_cpus=0)
    class Doubler:
        def double(self, x):
            return 2 * x

    pool = ray.util.ActorPool([Doubler.remote() for _ in range(2)])
    assert list(pool.map(lambda a, v: a.double.remote(v), range(6))) == [0, 2, 4, 6, 8, 10]
    assert sorted(pool.map_unordered(lambda a, v: a.double.remote(v), range(4))) == [0, 2, 4, 6]


def test_a_subclass_of_actor_pool_finds_the_attributes_of_rays():
    class Pool(ray.util.ActorPool):
        def look(self):
            return (
                len(self._idle_actors),
                [index for index, _ in self._future_to_actor.values()],
                list(self._index_to_future),
                self._next_task_index,
                self._next_return_index,
                len(self._pending_submits),
            )

        def _return_actor(self, actor):
            self.returned = actor
            super()._return_actor(actor)

    @ray.remote(num_cpus=0)
    class Doubler:
        def double(self, x):
            return 2 * x

    actor = Doubler.remote()
    pool = Pool([actor])
    pool.submit(lambda a, v: a.double.remote(v), 1)
    pool.submit(lambda a, v: a.double.remote(v), 2)
    assert pool.look() == (0, [0], [0], 1, 0, 1)
    assert [pool.get_next(), pool.get_next()] == [2, 4]
    assert pool.look() == (1, [], [], 2, 2, 0) and pool.returned is actor


def test_a_pool_s_map_submits_at_once_and_drops_what_was_left():
    @ray.remote
    class Worker:
        def __init__(self):
            self.calls = []

        def call(self, value):
            self.calls.append(value)
            if value == "fails":
                raise ValueError(value)
            return value

        def called(self):
            return self.calls

    worker = Worker.remote()
    pool = ray.util.ActorPool([worker])
    for value in ("left", "fails"):
        pool.submit(lambda a, v: a.call.remote(v), value)
    results = pool.map(lambda a, v: a.call.remote(v), [1, 2])
    wait_for(lambda: 1 in ray.get(worker.called.remote()))
    assert list(results) == [1, 2]
    results = pool.map_unordered(lambda a, v: a.call.remote(v), [3])
    wait_for(lambda: 3 in ray.get(worker.called.remote()))
    assert list(results) == [3] and not pool.has_next()


def test_a_pool_s_map_waits_for_nothing_that_was_submitted_before(tmp_path):
    go, ended = tmp_path / "go", tmp_path / "ended"

    @ray.remote
    class Worker:
        def call(self, value):
            if value == "blocks":
                try:
                    wait_for(go.exists, 20)
                finally:
                    ended.touch()
            return value

    pool = ray.util.ActorPool([Worker.remote()])
    for value in ("blocks", "left"):
        pool.submit(lambda a, v: a.call.remote(v), value)
    results = pool.map(lambda a, v: a.call.remote(v), [1, 2])
    assert not ended.exists()
    go.touch()
    assert list(results) == [1, 2]


def test_queue():
    from importlib import import_module

    queue_module = import_module(ray.__name__ + ".util.queue")
    queue = queue_module.Queue(maxsize=2)
    queue.put(1)
    queue.put(2)
    with pytest.raises(queue_module.Full) as full:
        queue.put_nowait(3)
    assert full.type is queue_module.Full
    assert queue.full() and queue.size() == 2
    assert [queue.get(), queue.get()] == [1, 2]
    with pytest.raises(queue_module.Empty):
        queue.get(timeout=0.01)
    with pytest.raises(queue_module.Empty) as empty:
        queue.get(block=False)
    assert empty.type is queue_module.Empty

    async def at_once():
        with pytest.raises(queue_module.Empty) as empty:
            await queue.get_async(block=False)
        await queue.put_async(1)
        await queue.put_async(2)
        with pytest.raises(queue_module.Full) as full:
            await queue.put_async(3, block=False)
        return empty.type, full.type

    assert asyncio.run(at_once()) == (queue_module.Empty, queue_module.Full)
    with pytest.raises(TypeError, match="num_items"):
        queue.get_nowait_batch("1")
    queue.shutdown(force=True)


def test_runtime_context():
    context = ray.get_runtime_context()
    assert len(context.get_job_id()) == 8 and context.get_actor_id() is None

    @ray.remote
    class Who:
        def ids(self):
            inner = ray.get_runtime_context()
            return inner.get_actor_id(), inner.get_task_id(), inner.get_node_id()

    who = Who.remote()
    actor_id, task_id, node_id = ray.get(who.ids.remote())
    assert actor_id == who._actor_id.hex() and len(task_id) == 48
    assert node_id == context.get_node_id()


def test_cluster_resources():
    assert ray.cluster_resources()["CPU"] == 4
    assert len(ray.nodes()) == 1 and ray.nodes()[0]["Alive"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"num_cpus": -1}, ValueError),
        ({"num_cpus": 0.00001}, ValueError),
        ({"unknown": 1}, ValueError),
        ({"num_returns": -3}, ValueError),
        ({"resources": {"CPU": 1}}, ValueError),
        ({"max_retries": -2}, ValueError),
    ],
)
def test_bad_options(options, error):
    with pytest.raises(error):
        ray.remote(**options)(lambda: 1)


def test_workers_share_the_working_directory():
    assert ray.get(ray.remote(lambda: os.getcwd()).remote()) == os.getcwd()


@pytest.mark.only_eagleray
def test_what_waits_is_explained():
    @ray.remote(resources={"custom": 100})
    def never():
        return 1

    ref = never.remote()
    reason = wait_for(
        lambda: (
            "no node can ever" in ray._state.client().wait_reason(ref)
            and ray._state.client().wait_reason(ref)
        )
    )
    assert "custom: 100" in reason
    ray.cancel(ref)


def test_exceptions_pickle():
    import pickle

    error = ray.exceptions.RayTaskError("f", "traceback", ValueError("x"), pid=1, ip="i")
    dual = error.as_instanceof_cause()
    again = pickle.loads(pickle.dumps(dual))
    assert isinstance(again, ValueError) and isinstance(again, ray.exceptions.RayTaskError)


def test_tracebacks_of_a_program_show_its_lines(tmp_path):
    """Functions of __main__ are sent by value; their file is sent along."""
    program = tmp_path / "program.py"
    program.write_text(
        "import eagleray as ray\n"
        "@ray.remote\n"
        "def f():\n"
        "    raise ValueError('no')  # this line\n"
        "ray.init(num_cpus=1)\n"
        "try:\n"
        "    ray.get(f.remote())\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True)
    assert f'File "{program}", line 4, in f' in done.stdout, done.stderr
    assert "# this line" in done.stdout
