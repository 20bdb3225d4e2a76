"""init(local_mode=True) gives what a cluster gives: each case runs with it and without."""

import asyncio
import os
import signal
import threading

import pytest
from _support import ray, wait_for
from eagleray.util import ActorPool
from eagleray.util.multiprocessing import Pool
from eagleray.util.placement_group import get_current_placement_group
from eagleray.util.queue import Empty, Full, Queue
from eagleray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

errors = ray.exceptions


@pytest.fixture(scope="module", params=[True, False], ids=["local", "cluster"])
def local(request):
    ray.shutdown()
    ray.init(local_mode=request.param, num_cpus=2, resources={"extra": 3}, namespace="mine")
    yield request.param
    ray.shutdown()


@ray.remote
def add(a, b=1):
    return a + b


@ray.remote(max_retries=0)
def fails(text):
    raise ValueError(text)


@ray.remote
class Counter:
    def __init__(self, n=0):
        self.n = n

    def add(self, k=1):
        self.n += k
        return self.n

    def me(self):
        return ray.get_runtime_context().current_actor

    def fails(self):
        raise KeyError("k")

    def exits(self):
        ray.actor.exit_actor()

    def items(self, n):
        for _ in range(n):
            yield self.add()


@ray.remote
class Async:
    def __init__(self):
        self.event = None

    async def slow(self, value):
        await asyncio.sleep(0.001)
        return value

    async def asks(self, other, value):
        return await other.slow.remote(value)

    async def items(self, n):
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    async def waits(self):
        self.event = asyncio.Event()
        await self.event.wait()
        return "woken"

    def reference(self):
        return ray.put(7)

    async def cancels_itself(self):
        raise asyncio.CancelledError

    async def has_event(self):
        return self.event is not None

    async def wakes(self):
        self.event.set()


# ---- tasks ----


def test_where_they_run(local):
    @ray.remote
    def pid():
        return os.getpid()

    assert (ray.get(pid.remote()) == os.getpid()) is local


def test_values(local):
    ref = add.remote(1)
    assert isinstance(ref, ray.ObjectRef) and ray.get(ref) == 2
    assert ray.get(add.remote(ref, b=ray.put(5))) == 7
    assert ray.get([add.remote(i) for i in range(3)]) == [1, 2, 3]
    assert ray.get(add.options(name="x").remote("a", "b")) == "ab"
    with pytest.raises(TypeError):
        add.remote(1, 2, 3)
    nested = ray.get(ray.put([ref]))
    assert ray.get(nested[0]) == 2


def test_arguments_and_results_are_copies(local):
    @ray.remote
    def appends(values):
        values.append(1)
        return values

    mine = [0]
    assert ray.get(appends.remote(mine)) == [0, 1] and mine == [0]
    with pytest.raises(TypeError, match="lock"):
        appends.remote(threading.Lock())


def test_a_reference_as_a_result_stays_one(local):
    @ray.remote
    def puts():
        return ray.put(3)

    ref = ray.get(puts.remote())
    assert isinstance(ref, ray.ObjectRef) and ray.get(ref) == 3


def test_an_interrupt_is_the_programs(local):
    if not local:
        pytest.skip("there it is the task's")

    @ray.remote
    def interrupted():
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted.remote()


def test_several_returns_and_none(local):
    @ray.remote(num_returns=2)
    def two():
        return 1, 2

    @ray.remote(num_returns=0)
    def none():
        return None

    @ray.remote(num_returns=2, max_retries=0)
    def wrong():
        return [1, 2, 3]

    assert ray.get(list(two.remote())) == [1, 2]
    assert none.remote() is None
    with pytest.raises(ValueError, match="num_returns=2"):
        ray.get(wrong.remote()[0])


def test_errors(local):
    with pytest.raises(ValueError, match="why") as caught:
        ray.get(fails.remote("why"))
    assert isinstance(caught.value, errors.RayTaskError)
    assert "fails()" in str(caught.value) and str(caught.value.cause) == "why"
    with pytest.raises(ValueError, match="why"):
        ray.get(add.remote(fails.remote("why")))


def test_retries(local, tmp_path):
    @ray.remote(max_retries=2, retry_exceptions=[KeyError])
    def third_time():
        with open(tmp_path / "runs", "a") as file:
            file.write("x")
        if len((tmp_path / "runs").read_text()) < 3:
            raise KeyError
        return "done"

    assert ray.get(third_time.remote()) == "done"


def test_wait(local):
    refs = [add.remote(i) for i in range(3)]
    ray.get(refs)
    ready, rest = ray.wait(refs, num_returns=2)
    assert (ready, rest) == (refs[:2], refs[2:])
    assert ray.wait([]) == ([], [])
    with pytest.raises(ValueError, match="unique|duplicate"):
        ray.wait([refs[0], refs[0]])
    with pytest.raises(ValueError):
        ray.wait(refs, num_returns=4)
    failed = fails.remote("x")
    assert ray.wait([failed], timeout=60) == ([failed], [])


def test_futures_and_awaits(local):
    async def both():
        return await add.remote(1), await asyncio.gather(add.remote(2), add.remote(3))

    assert asyncio.run(both()) == (2, [3, 4])
    assert add.remote(4).future().result(20) == 5
    with pytest.raises(ValueError, match="late"):
        fails.remote("late").future().result(20)


def test_cancel_of_what_has_ended_changes_nothing(local):
    ref = add.remote(1)
    assert ray.get(ref) == 2
    ray.cancel(ref)
    assert ray.get(ref) == 2
    with pytest.raises(TypeError):
        ray.cancel(1)


# ---- generators ----


def test_generators(local):
    @ray.remote(max_retries=0)
    def items(n):
        yield from range(n)
        raise OverflowError

    stream = items.remote(2)
    assert isinstance(stream, ray.ObjectRefGenerator)
    assert [ray.get(next(stream)), ray.get(next(stream))] == [0, 1]
    with pytest.raises(OverflowError):
        ray.get(next(stream))
    with pytest.raises(StopIteration):
        next(stream)
    assert stream.is_finished()
    assert [ray.get(ref) for ref in Counter.remote().items.remote(3)] == [1, 2, 3]
    assert [ray.get(ref) for ref in Async.remote().items.remote(3)] == [0, 1, 2]


def test_dynamic_generators_and_those_of_several_returns(local):
    @ray.remote(num_returns="dynamic")
    def dynamic():
        yield from "ab"

    @ray.remote(num_returns=2)
    def two():
        yield from "ab"

    assert [ray.get(ref) for ref in ray.get(dynamic.remote())] == ["a", "b"]
    assert ray.get(list(two.remote())) == ["a", "b"]


def test_a_generator_is_waited_for_and_cancelled(local):
    @ray.remote(max_retries=0, _generator_backpressure_num_objects=1)
    def endless():
        while True:
            yield 7

    stream = endless.remote()
    assert ray.wait([stream], timeout=60) == ([stream], [])
    assert ray.get(next(stream)) == 7
    ray.cancel(stream)
    with pytest.raises(errors.TaskCancelledError):
        for ref in stream:
            ray.get(ref)


# ---- actors ----


def test_actors(local):
    actor = Counter.remote(5)
    assert isinstance(actor, ray.actor.ActorHandle)
    assert ray.get([actor.add.remote(), actor.add.remote(2)]) == [6, 8]
    with pytest.raises(KeyError):
        ray.get(actor.fails.remote())
    with pytest.raises(AttributeError):
        actor.nothing.remote()
    with pytest.raises(TypeError):
        Counter.remote(1, 2)
    assert ray.get(actor.__ray_call__.remote(lambda self: self.n)) == 8
    assert ray.get(actor.__ray_ready__.remote()) is True

    @ray.remote
    def uses(handle):
        return ray.get(handle.add.remote(10)), handle

    value, again = ray.get(uses.remote(actor))
    assert value == 18 and again == actor and ray.get(again.add.remote()) == 19


def test_an_actor_that_cannot_be_made_or_has_ended(local):
    @ray.remote
    class Broken:
        def __init__(self):
            raise RuntimeError("never")

        def f(self):
            pass

    with pytest.raises(errors.ActorDiedError, match="never"):
        ray.get(Broken.remote().f.remote())
    actor = Counter.remote()
    with pytest.raises(errors.ActorDiedError):
        ray.get(actor.exits.remote())
    with pytest.raises(errors.ActorDiedError):
        ray.get(actor.add.remote())
    actor = Counter.remote()
    ray.get(actor.add.remote())
    ray.kill(actor)
    with pytest.raises(errors.ActorDiedError):
        ray.get(actor.add.remote())


def test_a_killed_actor_restarts(local):
    actor = Counter.options(max_restarts=1, max_task_retries=3).remote(3)
    assert ray.get(actor.add.remote()) == 4
    ray.kill(actor, no_restart=False)
    assert ray.get(actor.add.remote()) == 4
    ray.kill(actor)
    with pytest.raises(errors.RayActorError):
        ray.get(actor.add.remote())


def test_named_actors(local):
    actor = Counter.options(name="counter").remote(1)
    ray.get(actor.add.remote())
    assert ray.get(ray.get_actor("counter").add.remote()) == 3
    assert "counter" in ray.util.list_named_actors()
    assert {"name": "counter", "namespace": "mine"} in ray.util.list_named_actors(True)
    with pytest.raises(errors.ActorAlreadyExistsError):
        Counter.options(name="counter").remote()
    same = Counter.options(name="counter", get_if_exists=True).remote()
    assert same == actor
    other = Counter.options(name="counter", namespace="other", lifetime="detached").remote()
    assert ray.get_actor("counter", "other") == other
    ray.kill(other)
    ray.kill(actor)
    wait_for(lambda: "counter" not in ray.util.list_named_actors())
    with pytest.raises(ValueError, match="Failed to look up"):
        ray.get_actor("counter")


def test_async_actors(local):
    first, second = Async.remote(), Async.remote()
    assert ray.get([first.slow.remote(i) for i in range(3)]) == [0, 1, 2]
    assert ray.get(first.asks.remote(second, 7)) == 7
    assert ray.get(first.asks.remote(first, 8)) == 8  # which calls itself
    assert ray.get(ray.get(first.reference.remote())) == 7
    with pytest.raises(errors.TaskCancelledError):
        ray.get(first.cancels_itself.remote())


def test_threads_wait_in_one_async_actor(local):
    actor = Async.remote()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ray.get(actor.waits.remote())))
    thread.start()
    while not ray.get(actor.has_event.remote()):
        thread.join(0.01)
    ray.get(actor.wakes.remote())
    thread.join(60)
    assert answers == ["woken"]


# ---- what a program asks ----


def test_the_cluster(local):
    assert ray.is_initialized()
    total = ray.cluster_resources()
    assert (total["CPU"], total["extra"]) == (2, 3)
    assert ray.available_resources()["extra"] == 3
    (node,) = ray.nodes()
    assert node["Alive"] and node["Resources"]["CPU"] == 2
    assert node["NodeID"] == ray.get_runtime_context().get_node_id()


def test_the_context(local):
    @ray.remote(num_cpus=0, resources={"extra": 2})
    def looks():
        context = ray.get_runtime_context()
        return {
            "task": len(context.get_task_id() or ""),
            "name": context.get_task_name(),
            "actor": context.get_actor_id(),
            "resources": context.get_assigned_resources(),
            "job": context.get_job_id(),
            "node": context.get_node_id(),
            "namespace": context.namespace,
            "group": context.get_placement_group_id(),
            "cancelled": context.is_canceled(),
            "again": context.was_current_actor_reconstructed,
        }

    mine = ray.get_runtime_context()
    assert ray.get(looks.options(name="look").remote()) == {
        "task": 48,
        "name": "look",
        "actor": None,
        "resources": {"extra": 2.0},
        "job": mine.get_job_id(),
        "node": mine.get_node_id(),
        "namespace": "mine",
        "group": None,
        "cancelled": False,
        "again": False,
    }
    assert mine.get_task_id() is None and mine.get_actor_id() is None
    actor = Counter.remote()
    assert ray.get(actor.me.remote()) == actor
    with pytest.raises(RuntimeError):
        _ = mine.current_actor
    with pytest.raises(AssertionError):
        mine.get_assigned_resources()


def test_placement_groups(local):
    group = ray.util.placement_group([{"CPU": 1}, {"extra": 1}])
    assert group.wait(60)
    assert ray.get(group.ready()) == group

    @ray.remote(num_cpus=1)
    def inside():
        return get_current_placement_group()

    strategy = PlacementGroupSchedulingStrategy(group)
    assert ray.get(inside.options(scheduling_strategy=strategy).remote()) == group
    assert ray.get(inside.remote()) is None
    ray.util.remove_placement_group(group)
    assert ray.util.placement_group_table(group)["state"] == "REMOVED"


# ---- utilities ----


def test_actor_pool(local):
    pool = ActorPool([Counter.remote(), Counter.remote()])
    assert sum(pool.map(lambda actor, k: actor.add.remote(k), [1, 1, 1, 1])) == 6
    assert not pool.has_next()


def test_queue(local):
    queue = Queue(maxsize=2)
    queue.put(1)
    queue.put(2)
    assert queue.full() and len(queue) == 2
    with pytest.raises(Full):
        queue.put(3, timeout=0.01)
    with pytest.raises(Full):
        queue.put_nowait(3)
    assert [queue.get(), queue.get()] == [1, 2]
    with pytest.raises(Empty):
        queue.get(timeout=0.01)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(queue.get()))
    thread.start()
    queue.put("x")
    thread.join(60)
    assert answers == ["x"]
    queue.shutdown()


def test_pool(local):
    with Pool(2) as pool:
        assert pool.map(abs, range(-50, 50), chunksize=1) == [abs(i) for i in range(-50, 50)]
        assert sorted(pool.imap_unordered(abs, [-1, -2])) == [1, 2]
        assert pool.apply_async(len, ("abc",)).get(60) == 3
        assert pool.starmap(pow, [(2, 3), (3, 2)]) == [8, 9]
        with pytest.raises(ZeroDivisionError):
            pool.apply(divmod, (1, 0))


def test_graphs(local):
    with ray.dag.InputNode() as given:
        graph = add.bind(add.bind(given, 1), 2)
    assert ray.get(graph.execute(10)) == 13


def test_shutdown_ends_it():
    ray.shutdown()
    ray.init(local_mode=True, num_cpus=1)
    ref = add.remote(1)
    assert ray.get(ref) == 2
    ray.shutdown()
    assert not ray.is_initialized()
    ray.init(num_cpus=1)

    @ray.remote
    def pid():
        return os.getpid()

    assert ray.get(pid.remote()) != os.getpid()
    ray.shutdown()


def test_an_async_constructor(local):
    @ray.remote
    class Made:
        async def __init__(self, value):
            await asyncio.sleep(0)
            self.value = value

        async def get(self):
            return self.value

    assert ray.get(Made.remote(3).get.remote()) == 3
