"""cancel(), and what becomes of interrupts. Ray's contract, too: `./dev test --peer ray`."""

import asyncio
import ctypes
import functools
import os
import pickle
import signal
import time

import pytest
from _support import PEER, alive, ray, wait_for, waits_for

pytestmark = pytest.mark.usefixtures("cluster")
only_eagleray = pytest.mark.skipif(PEER, reason="Ray hangs, or has no such promise")
Cancelled = ray.exceptions.TaskCancelledError


@ray.remote(max_retries=0)
def interrupted(path, then):
    """Waits to be interrupted; `then` says what it does about that."""
    path.touch()
    try:
        for _ in range(1000):
            time.sleep(30)
    except KeyboardInterrupt:
        if then == "returns":
            return "caught"
        if then == "fails":
            raise ValueError("while it cleaned up") from None
        raise


def start(task, path, *arguments):
    ref = task.remote(path, *arguments)
    wait_for(path.exists)
    return ref


def test_an_interrupt_that_passes_through_is_a_cancellation(tmp_path):
    ref = start(interrupted, tmp_path / "flag", "passes")
    ray.cancel(ref)
    with pytest.raises(Cancelled) as caught:
        ray.get(ref, timeout=60)
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert "interrupted" in str(caught.value)


def test_what_a_task_makes_of_its_interrupt_counts(tmp_path):
    ref = start(interrupted, tmp_path / "returns", "returns")
    ray.cancel(ref)
    assert ray.get(ref, timeout=60) == "caught"
    ref = start(interrupted, tmp_path / "fails", "fails")
    ray.cancel(ref)
    with pytest.raises(ValueError, match="while it cleaned up"):
        ray.get(ref, timeout=60)


@pytest.mark.parametrize("then", ["passes", "returns"])
def test_force_leaves_no_choice(tmp_path, then):
    ref = start(interrupted, tmp_path / "flag", then)
    ray.cancel(ref, force=True)
    with pytest.raises(Cancelled):
        ray.get(ref, timeout=60)


def test_force_ends_no_other_task(tmp_path):
    """Also where they wait at the same worker."""
    flag = tmp_path / "flag"
    waits = waits_for(flag, max_retries=0)
    refs = [waits.remote(i) for i in range(12)]
    assert ray.wait(refs, timeout=0.5)[0] == []
    ray.cancel(refs[-1], force=True)
    with pytest.raises(Cancelled):
        ray.get(refs[-1], timeout=60)
    flag.touch()
    assert ray.get(refs[:-1], timeout=60) == list(range(11))


def test_an_interrupt_of_the_task_s_own_making(tmp_path):
    runs = tmp_path / "runs"

    @ray.remote(max_retries=2, retry_exceptions=True)
    def interrupts_itself():
        with open(runs, "a") as file:
            file.write("x")
        raise KeyboardInterrupt

    with pytest.raises(Cancelled):
        ray.get(interrupts_itself.remote(), timeout=60)
    assert runs.read_text() == "x"


def test_a_task_that_waits_is_interrupted_and_its_child_too(tmp_path):
    @ray.remote
    def parent(path):
        return ray.get(interrupted.remote(path, "passes"))

    ref = start(parent, tmp_path / "flag")
    ray.cancel(ref)
    with pytest.raises(Cancelled):
        ray.get(ref, timeout=60)


@ray.remote
class Plain:
    def works(self, path):
        path.touch()
        wait_for(lambda: ray.get_runtime_context().is_canceled(), 60)
        return "dropped"

    def one(self):
        return 1


def test_a_method_is_asked_to_stop(tmp_path):
    actor = Plain.remote()
    ref = start(actor.works, tmp_path / "flag")
    ray.cancel(ref)
    with pytest.raises(Cancelled):
        ray.get(ref, timeout=60)
    assert ray.get(actor.one.remote(), timeout=60) == 1


@only_eagleray
def test_an_actor_goes_on_after_the_cancel_of_a_queued_call(tmp_path):
    actor = Plain.remote()
    ref = start(actor.works, tmp_path / "flag")
    queued = actor.one.remote()
    ray.cancel(queued)
    ray.cancel(ref)
    for each in (queued, ref):
        with pytest.raises(Cancelled):
            ray.get(each, timeout=60)
    assert ray.get(actor.one.remote(), timeout=60) == 1


@ray.remote
class Async:
    def __init__(self):
        self.cancellations = 0

    async def waits(self, path):
        path.touch()
        await asyncio.sleep(1000)

    async def cleans_up(self, path):
        path.touch()
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            self.cancellations += 1
            await asyncio.sleep(0.3)
            return "dropped"

    async def count(self):
        return self.cancellations


def test_a_coroutine_is_cancelled_once_and_without_further_calls(tmp_path):
    actor = Async.remote()
    for method in ("waits", "cleans_up"):
        ref = start(getattr(actor, method), tmp_path / method)
        ray.cancel(ref)
        with pytest.raises(Cancelled):
            ray.get(ref, timeout=60)
    wait_for(lambda: ray.get(actor.count.remote(), timeout=60) == 1)


def raised_by(ref):
    with pytest.raises(Cancelled) as caught:
        ray.get(ref, timeout=60)
    return caught.value


@ray.remote
class Coroutines:
    async def passes(self, path):
        path.touch()
        await asyncio.sleep(1000)

    async def returns(self, path):
        try:
            await self.passes(path)
        except asyncio.CancelledError:
            return "dropped"

    async def fails(self, path):
        try:
            await self.passes(path)
        except asyncio.CancelledError:
            raise ValueError("dropped") from None

    async def yields(self, path):
        yield 1
        await self.passes(path)

    async def cancels_itself(self):
        raise asyncio.CancelledError

    async def awaits(self, refs):
        return await refs[0]


@pytest.mark.parametrize("what", ["passes", "returns", "fails", "yields"])
def test_a_coroutine_that_was_begun_is_cancelled_with_a_task_error(tmp_path, what):
    """Whatever it makes of it; who gets or awaits it sees both classes, too."""
    actor = Coroutines.remote()
    if what == "yields":
        stream = actor.yields.options(num_returns="streaming").remote(tmp_path / "flag")
        assert ray.get(next(stream), timeout=60) == 1
        wait_for((tmp_path / "flag").exists)
        ray.cancel(stream)
        ref = next(stream)
    else:
        ref = start(getattr(actor, what), tmp_path / "flag")
        ray.cancel(ref)
    error = raised_by(ref)
    assert isinstance(error, ray.exceptions.RayTaskError)
    assert type(error).__name__ == "RayTaskError(TaskCancelledError)"
    assert what in str(error) and "was cancelled" in str(error)
    assert error.task_id == ref.task_id()

    async def awaited():
        await ref

    with pytest.raises(Cancelled) as caught:
        asyncio.run(awaited())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert isinstance(raised_by(actor.awaits.remote([ref])), ray.exceptions.RayTaskError)


def test_a_coroutine_that_cancels_itself_is_cancelled():
    error = raised_by(Coroutines.remote().cancels_itself.remote())
    assert isinstance(error, ray.exceptions.RayTaskError)


def test_who_gets_what_was_cancelled_before_it_began_fails_with_a_task_error(tmp_path):
    @ray.remote
    def gets(refs):
        return ray.get(refs[0])

    @ray.remote(resources={"nowhere": 1})
    def waits():
        pass

    pending = waits.remote()
    ray.cancel(pending)
    assert not isinstance(raised_by(pending), ray.exceptions.RayTaskError)
    assert isinstance(raised_by(gets.remote([pending])), ray.exceptions.RayTaskError)


@only_eagleray
def test_a_cancellation_pickles(tmp_path):
    ref = start(interrupted, tmp_path / "flag", "passes")
    ray.cancel(ref)
    error = raised_by(ref)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
    plain = Cancelled(ref.task_id())
    again = pickle.loads(pickle.dumps(plain))
    assert (again.task_id, str(again)) == (ref.task_id(), f"Task: {ref.task_id()} was cancelled.")


def test_a_cancelled_generator_ends_with_the_error():
    @ray.remote
    def counts():
        i = 0
        while True:
            yield i
            i += 1
            wait_for(lambda: True)

    generator = counts.options(_generator_backpressure_num_objects=2).remote()
    assert ray.get(next(generator)) == 0
    ray.cancel(generator)
    with pytest.raises(Cancelled):
        for ref in generator:
            ray.get(ref, timeout=60)


def test_cancel_of_a_finished_task_does_nothing():
    @ray.remote
    def pid():
        return os.getpid()

    ref = pid.remote()
    value = ray.get(ref)
    ray.cancel(ref)
    ray.cancel(ref, force=True)
    assert ray.get(ref) == value


@only_eagleray
def test_an_interrupt_behind_the_answer_does_not_keep_a_worker_that_leaves():
    @ray.remote(max_calls=1)
    def leaves():
        raises = functools.partial(getattr(ctypes.PyDLL(None), "raise"), signal.SIGINT)

        class Result:
            __del__ = staticmethod(raises)  # in C: Python hears of the signal when it has returned

            def __reduce__(self):
                return int, (os.getpid(),)

        return Result()

    pid = ray.get(leaves.remote())
    wait_for(lambda: not alive(pid))


@only_eagleray
@pytest.mark.parametrize("options", [{"num_cpus": 1}, {"max_calls": 2}])
def test_what_runs_behind_the_answer_is_in_no_task(tmp_path, options):
    said = tmp_path / "said"

    def gives():
        class Result:
            def __del__(self):
                task = ray.get_runtime_context().get_task_id()
                (tmp_path / "new").write_text(f"{task} {ray.get(child.remote())}")
                (tmp_path / "new").rename(said)

            def __reduce__(self):
                return int, (1,)

        return Result()

    @ray.remote
    def child():
        return "of nobody"

    assert ray.get(ray.remote(**options)(gives).remote()) == 1
    wait_for(said.exists)
    assert said.read_text() == "None of nobody"
