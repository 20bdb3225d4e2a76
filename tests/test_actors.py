import asyncio
import os
import signal
import threading

import numpy as np
import pytest
from _support import PEER, alive, ray, wait_for, waits_for

pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote
class Counter:
    def __init__(self, start=0):
        self.value = start

    def increment(self, by=1):
        self.value += by
        return self.value

    def pid(self):
        return os.getpid()

    def fail(self):
        raise ValueError("no")

    def die(self):
        os._exit(1)

    def leave(self):
        ray.actor.exit_actor()


def test_state_and_order():
    counter = Counter.remote(5)
    assert ray.get([counter.increment.remote() for _ in range(100)]) == list(range(6, 106))


def test_direct_calls_are_refused():
    with pytest.raises(TypeError):
        Counter()
    with pytest.raises(TypeError):
        Counter.remote().increment()
    with pytest.raises(AttributeError):
        Counter.remote().missing  # noqa: B018


def test_order_holds_when_an_early_argument_is_late(tmp_path):
    flag = tmp_path / "flag"

    @ray.remote
    def late():
        wait_for(flag.exists)
        return 10

    counter = Counter.remote()
    first = counter.increment.remote(late.remote())
    second = counter.increment.remote(1)
    flag.touch()
    assert ray.get([first, second]) == [10, 11]


def test_an_exception_leaves_the_actor_alive():
    counter = Counter.remote()
    with pytest.raises(ValueError):
        ray.get(counter.fail.remote())
    assert ray.get(counter.increment.remote()) == 1


def test_a_failed_constructor_is_seen_by_calls():
    @ray.remote
    class Broken:
        def __init__(self):
            raise RuntimeError("cannot be built")

        def ping(self):
            return 1

    with pytest.raises(ray.exceptions.ActorDiedError, match="cannot be built"):
        ray.get(Broken.remote().ping.remote())


def test_handles_travel():
    @ray.remote
    def use(box):
        return ray.get(box["counter"].increment.remote())

    counter = Counter.remote()
    assert ray.get([use.remote({"counter": counter}) for _ in range(5)]) is not None
    assert ray.get(counter.increment.remote()) == 6


def test_an_actor_ends_with_its_last_handle():
    counter = Counter.remote()
    pid = ray.get(counter.pid.remote())
    assert alive(pid)
    del counter
    wait_for(lambda: not alive(pid))


def test_calls_in_flight_finish_when_the_handle_goes():
    counter = Counter.remote()
    ref = counter.increment.remote(7)
    del counter
    assert ray.get(ref) == 7


def test_death_is_an_error_and_names_the_actor():
    counter = Counter.remote()
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(counter.die.remote())
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(counter.increment.remote())


def test_kill():
    counter = Counter.remote()
    pid = ray.get(counter.pid.remote())
    ray.kill(counter)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(counter.increment.remote())
    wait_for(lambda: not alive(pid))
    with pytest.raises(ValueError):
        ray.kill("nothing")


def test_exit_actor():
    counter = Counter.remote()
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(counter.leave.remote())
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(counter.increment.remote())


class Leaver:
    def __init__(self):
        self.calls = 0

    def leave(self, folder, status):
        self.calls += 1
        if not any(folder.iterdir()):
            (folder / "was_here").touch()
            raise SystemExit(status)
        return self.calls


class AsyncLeaver(Leaver):
    async def leave(self, folder, status):
        return Leaver.leave(self, folder, status)


@pytest.mark.parametrize("kind", [Leaver, AsyncLeaver])
@pytest.mark.parametrize("status", [3, None, "words"])
def test_sys_exit_is_a_crash_as_in_ray(kind, status, tmp_path):
    restarts = ray.remote(max_restarts=1, max_task_retries=1)(kind).remote()
    assert ray.get(restarts.leave.remote(tmp_path, status)) == 1
    (tmp_path / "was_here").unlink()
    with pytest.raises(ray.exceptions.ActorDiedError, match="sys.exit.*was called in"):
        ray.get(ray.remote(kind).remote().leave.remote(tmp_path, status))


@pytest.mark.parametrize("kind", [Leaver, AsyncLeaver])
def test_sys_exit_with_status_0_is_meant(kind, tmp_path):
    restarts = ray.remote(max_restarts=-1, max_task_retries=-1)(kind).remote()
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(restarts.leave.remote(tmp_path, 0))


@pytest.mark.parametrize("num_returns", [1, 2])
@pytest.mark.parametrize("status", [0, 3])
def test_sys_exit_in_a_task_is_tried_again(status, num_returns, tmp_path):
    @ray.remote(max_retries=1, num_returns=num_returns)
    def leave(folder):
        if not any(folder.iterdir()):
            (folder / "was_here").touch()
            raise SystemExit(status)
        return 1 if num_returns == 1 else (1, 1)

    refs = leave.remote(tmp_path)
    assert ray.get(refs) == (1 if num_returns == 1 else [1, 1])
    (tmp_path / "was_here").unlink()
    refs = leave.options(max_retries=0).remote(tmp_path)
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(refs)


def test_restart():
    counter = Counter.options(max_restarts=1, max_task_retries=-1).remote()
    ray.get(counter.increment.remote())
    pid = ray.get(counter.pid.remote())
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not alive(pid))
    assert ray.get(counter.increment.remote()) == 1
    assert ray.get(counter.pid.remote()) != pid
    os.kill(ray.get(counter.pid.remote()), signal.SIGKILL)
    with pytest.raises(ray.exceptions.RayActorError):
        for _ in range(100):
            ray.get(counter.increment.remote())


def test_calls_are_at_most_once_by_default(tmp_path):
    path = tmp_path / "runs"

    @ray.remote(max_restarts=1)
    class Once:
        def run(self):
            with open(path, "a") as file:
                file.write("x")
            os._exit(1)

    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(Once.remote().run.remote())
    assert path.stat().st_size == 1


@ray.remote(num_cpus=0)
def increment(box):
    return ray.get(box[0].increment.remote())


def test_a_handle_is_lent_before_its_actor_can_begin(tmp_path):
    """For want of an argument of its constructor."""
    flag = tmp_path / "flag"
    counter = Counter.remote(waits_for(flag, num_cpus=0).remote(5))
    lent = increment.remote([counter])
    assert ray.wait([lent], timeout=1)[0] == []
    flag.touch()
    assert ray.get([lent, counter.increment.remote()], timeout=60) in ([6, 7], [7, 6])


def test_a_handle_is_lent_at_once():
    """Two processes tell control of the actor, one that it is to be, one that it wants to call it."""
    for _ in range(50):
        assert ray.get(increment.remote([Counter.options(num_cpus=0).remote(1)]), timeout=60) == 2


@pytest.mark.only_eagleray
def test_who_is_lent_the_handle_of_an_actor_that_will_never_be_is_told():
    @ray.remote
    def fails():
        raise ValueError("no argument")

    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(increment.remote([Counter.remote(fails.remote())]), timeout=60)


@pytest.mark.only_eagleray
def test_an_actor_is_killed_before_it_begins(tmp_path):
    flag = tmp_path / "flag"
    counter = Counter.options(max_restarts=3).remote(waits_for(flag, num_cpus=0).remote(5))
    call = counter.increment.remote()
    ray.kill(counter)
    flag.touch()
    with pytest.raises(ray.exceptions.ActorDiedError, match="killed"):
        ray.get(call, timeout=60)


def test_an_actor_that_nobody_waits_for_any_more_gives_its_room_back(tmp_path):
    """Its handle goes while an argument of its constructor is awaited."""
    flag = tmp_path / "flag"
    late = waits_for(flag, num_cpus=0).remote(5)
    Counter.options(resources={"custom": 1}).remote(late)
    flag.touch()
    ray.get(late, timeout=60)
    wants_all = ray.remote(resources={"custom": 2})(lambda: True)
    assert ray.get(wants_all.remote(), timeout=60)


def test_named_actors():
    counter = Counter.options(name="named-one").remote()
    ray.get(counter.increment.remote())
    assert ray.get(ray.get_actor("named-one").increment.remote()) == 2
    with pytest.raises(ValueError):
        Counter.options(name="named-one").remote()
    same = Counter.options(name="named-one", get_if_exists=True).remote()
    assert ray.get(same.increment.remote()) == 3
    with pytest.raises(ValueError):
        ray.get_actor("nobody")
    with pytest.raises(ValueError, match="pip"):  # not that there is nobody of that name
        Counter.options(
            name="nobody", get_if_exists=True, runtime_env={"pip": ["a"], "uv": ["b"]}
        ).remote()
    ray.kill(counter)
    wait_for(lambda: _gone("named-one"))


def _gone(name):
    try:
        ray.get_actor(name)
    except ValueError:
        return True
    return False


def test_detached_actors_outlive_their_handles():
    Counter.options(name="detached-one", lifetime="detached").remote()
    counter = ray.get_actor("detached-one")
    assert ray.get(counter.increment.remote()) == 1
    del counter
    assert ray.get(ray.get_actor("detached-one").increment.remote()) == 2
    ray.kill(ray.get_actor("detached-one"))


def test_threaded_actor():
    @ray.remote(max_concurrency=3)
    class Meeting:
        def __init__(self):
            self.barrier = threading.Barrier(3)

        def meet(self):
            self.barrier.wait(60)
            return True

    meeting = Meeting.remote()
    assert ray.get([meeting.meet.remote() for _ in range(3)]) == [True] * 3


def test_async_actor():
    @ray.remote
    class Async:
        def __init__(self):
            self.event = asyncio.Event()

        async def wait(self):
            await self.event.wait()
            return "woken"

        async def wake(self):
            self.event.set()

        async def fail(self):
            raise KeyError("k")

    actor = Async.remote()
    waiting = actor.wait.remote()
    ray.get(actor.wake.remote())
    assert ray.get(waiting) == "woken"
    with pytest.raises(KeyError):
        ray.get(actor.fail.remote())


def test_async_actor_awaits_tasks():
    @ray.remote
    def one():
        return 1

    @ray.remote
    class Async:
        async def total(self):
            return sum([await one.remote() for _ in range(3)])

    assert ray.get(Async.remote().total.remote()) == 3


def test_concurrency_groups():
    @ray.remote(concurrency_groups={"io": 2})
    class Grouped:
        def __init__(self):
            self.barrier = threading.Barrier(2)

        @ray.method(concurrency_group="io")
        def meet(self):
            self.barrier.wait(60)
            return threading.current_thread().name

        def plain(self):
            return "plain"

    actor = Grouped.remote()
    assert len(ray.get([actor.meet.remote() for _ in range(2)])) == 2
    assert ray.get(actor.plain.remote()) == "plain"


def test_method_options():
    @ray.remote
    class Pair:
        @ray.method(num_returns=2)
        def both(self):
            return 1, 2

        def stream(self):
            for i in range(3):
                yield i

    pair = Pair.remote()
    assert ray.get(list(pair.both.remote())) == [1, 2]
    assert [ray.get(ref) for ref in pair.stream.remote()] == [0, 1, 2]


def test_builtin_methods():
    counter = Counter.remote()
    ray.get(counter.__ray_ready__.remote())
    assert ray.get(counter.__ray_call__.remote(lambda self, x: self.value + x, 5)) == 5


def test_max_pending_calls():
    @ray.remote(max_pending_calls=2)
    class Slow:
        def block(self, path):
            wait_for(lambda: os.path.exists(path))

    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "go")
        slow = Slow.remote()
        refs = [slow.block.remote(path) for _ in range(2)]
        with pytest.raises(ray.exceptions.PendingCallsLimitExceeded):
            slow.block.remote(path)
        open(path, "w").close()
        ray.get(refs)


def test_inheritance():
    class Base:
        def who(self):
            return "base"

    @ray.remote
    class Child(Base):
        def also(self):
            return super().who() + "+child"

    child = Child.remote()
    assert ray.get([child.who.remote(), child.also.remote()]) == ["base", "base+child"]
    with pytest.raises(TypeError):

        class Wrong(Child):
            pass


def test_trees_of_actors():
    @ray.remote(num_cpus=0)
    class Parent:
        def __init__(self, depth):
            self.children = [Parent.remote(depth - 1) for _ in range(2)] if depth else []

        def count(self):
            return 1 + sum(ray.get([c.count.remote() for c in self.children]))

    assert ray.get(Parent.remote(2).count.remote()) == 7


def test_actor_arguments_by_reference():
    import numpy as np

    @ray.remote
    class Holder:
        def __init__(self, array, box):
            self.array, self.box = array, box

        def total(self):
            return int(self.array.sum()) + ray.get(self.box[0])

    holder = Holder.remote(ray.put(np.ones(100_000)), [ray.put(5)])
    assert ray.get(holder.total.remote()) == 100_005


def test_many_actors():
    counters = [Counter.options(num_cpus=0).remote(i) for i in range(20)]
    assert ray.get([c.increment.remote() for c in counters]) == list(range(1, 21))


def test_generators_of_an_async_actor_wait_for_their_reader():
    @ray.remote(num_cpus=0)
    class Producer:
        def __init__(self):
            self.made = 0

        async def numbers(self, n):
            for i in range(n):
                self.made = i + 1
                yield i

        async def count(self):
            return self.made

    producer = Producer.remote()
    generator = producer.numbers.options(
        num_returns="streaming", _generator_backpressure_num_objects=2
    ).remote(20)
    assert ray.get(next(generator)) == 0
    wait_for(lambda: ray.get(producer.count.remote()) >= 2)
    # The loop serves other calls while the generator waits, and it makes no more.
    assert max(ray.get([producer.count.remote() for _ in range(200)])) <= 4
    assert [ray.get(ref) for ref in generator] == list(range(1, 20))


def test_a_generator_that_waits_for_its_reader_can_be_cancelled():
    @ray.remote(num_cpus=0)
    class Producer:
        async def numbers(self):
            for i in range(1000):
                yield i

        async def alive(self):
            return True

    producer = Producer.remote()
    for _ in range(10):
        generator = producer.numbers.options(_generator_backpressure_num_objects=1).remote()
        assert ray.get(next(generator)) == 0
        ray.cancel(generator)
        with pytest.raises(ray.exceptions.TaskCancelledError):
            for ref in generator:
                ray.get(ref, timeout=60)
        assert ray.get(producer.alive.remote(), timeout=60)


def test_arguments_that_an_actor_keeps_stay_as_they_were():
    @ray.remote
    class Keeper:
        def __init__(self, first):
            self.kept = [first]

        def keep(self, value):
            self.kept.append(value)

        def size(self, value):
            return len(value)

        def kept_values(self):
            return self.kept

    values = [np.full(1000, 1.5), np.arange(7), {"array": np.full(900, 2)}]
    values += [] if PEER else [bytearray(b"x" * 5000)]  # Ray makes bytes of it
    keeper = Keeper.remote(values[0])
    for value in values[1:]:
        ray.get(keeper.keep.remote(value))
    # The room that these messages had is used again.
    assert ray.get([keeper.size.remote(b"\xff" * 8200) for _ in range(300)]) == [8200] * 300
    for kept, value in zip(ray.get(keeper.kept_values.remote()), values, strict=True):
        assert repr(kept) == repr(value)


class OfThisModule:
    value = 7


@pytest.mark.parametrize("stored", [False, True])
def test_arguments_of_a_constructor_may_come_from_the_driver_s_modules(stored):
    @ray.remote
    class Holder:
        def __init__(self, kind):
            self.kind = kind

        def value(self):
            return self.kind.value

    argument = ray.put(OfThisModule) if stored else OfThisModule
    assert ray.get(Holder.remote(argument).value.remote()) == 7


def test_a_handle_lists_the_methods_of_its_actor(cluster):
    @ray.remote
    class Listed:
        def first(self):
            pass

        async def second(self):
            pass

    names = set(dir(Listed.remote()))
    assert {"first", "second"} <= names and "__dict__" not in names


class Began:
    """Its constructor begins a task on the loop that runs the methods."""

    def __init__(self, value):
        self.loop = asyncio.get_running_loop()
        self.value = self.loop.create_future()
        self.task = self.loop.create_task(self.set(value))

    async def set(self, value):
        self.value.set_result(value)

    async def get(self):
        return await self.value, self.loop is asyncio.get_running_loop()


class AsyncConstructor:
    async def __init__(self, value):
        await asyncio.sleep(0)
        if value is None:
            raise ValueError("no value")
        self.value = value
        self.loop = asyncio.get_running_loop()

    def get(self):
        return self.value, self.loop is asyncio.get_running_loop()


@pytest.mark.parametrize("kind", [Began, AsyncConstructor])
def test_an_async_actor_is_made_within_its_loop(kind):
    assert ray.get(ray.remote(kind).remote(3).get.remote()) == (3, True)


def test_what_an_async_constructor_raises_is_why_the_actor_died():
    actor = ray.remote(AsyncConstructor).remote(None)
    with pytest.raises(ray.exceptions.ActorDiedError, match="no value"):
        ray.get(actor.get.remote())


class Marked:
    limit = 7

    def work(self):
        return 1

    work.mark = "of a decorator"


def test_what_remote_makes_of_a_class_shows_the_class():
    actor_class = ray.remote(num_cpus=0)(Marked)
    assert "work" in dir(actor_class) and actor_class.work.mark == "of a decorator"
    assert actor_class.limit == 7
    assert actor_class.__ray_actor_class__ is Marked
    assert type(actor_class).__name__ == "ActorClass(Marked)"
    assert isinstance(actor_class, ray.actor.ActorClass)
    with pytest.raises(AttributeError, match="missing"):
        actor_class.missing  # noqa: B018

    @ray.remote
    def use(given):
        return given.work.mark, ray.get(given.remote().work.remote())

    assert ray.get(use.remote(actor_class)) == ("of a decorator", 1)
