"""A full object store: puts and results wait, in turn, then are errors that say who holds what."""

import signal
import threading

import numpy as np
import pytest
from _support import ray, wait_for

pytestmark = pytest.mark.only_eagleray
MB = 1 << 20


@pytest.fixture
def small_store():
    ray.init(num_cpus=4, object_store_memory=80 * MB, _system_config={"store_full_wait_ms": 300})
    yield
    ray.shutdown()


@pytest.fixture
def patient_store():
    ray.init(num_cpus=4, object_store_memory=80 * MB, _system_config={"store_full_wait_ms": 30_000})
    yield
    ray.shutdown()


def array(megabytes, fill=1):
    """With its header it takes so many MiB of the store."""
    return np.full(megabytes * MB - 4096, fill, dtype=np.uint8)


def fill(count=7):
    return [ray.put(array(10)) for _ in range(count)]


def test_a_put_that_finds_no_room_says_who_holds_it(small_store):
    held = fill()
    with pytest.raises(ray.exceptions.ObjectStoreFullError) as caught:
        ray.put(array(20))
    text = str(caught.value)
    for part in (
        "20 MiB are wanted",
        "of 80 MiB",
        "the driver, pid",
        "in 7 segments",
        "What to do",
    ):
        assert part in text, text
    assert [int(ray.get(ref)[5]) for ref in held] == [1] * 7
    held.pop()
    held.pop()
    assert int(ray.get(ray.put(array(20)))[0]) == 1  # and goes on afterwards


def test_a_result_that_finds_no_room_is_the_task_s_error(small_store):
    held = fill()
    large = ray.remote(lambda: np.ones(19 * MB, dtype=np.uint8))
    with pytest.raises(ray.exceptions.ObjectStoreFullError, match="the driver, pid"):
        ray.get(large.options(max_retries=0).remote())
    assert len(held) == 7


def test_what_could_never_fit_is_an_error_at_once(patient_store):
    with pytest.raises(ray.exceptions.ObjectStoreFullError, match="object_store_memory"):
        ray.put(array(100))


def test_a_put_waits_for_room(patient_store):
    held = fill()
    done = []
    thread = threading.Thread(target=lambda: done.append(ray.put(array(20))))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive() and not done
    held.clear()
    thread.join(60)
    assert int(ray.get(done[0])[7]) == 1


def test_results_wait_for_room(patient_store):
    @ray.remote
    def make(i):
        return np.full(19 * MB, i, dtype=np.uint8)

    # Ten times the store passes through it, as each is dropped when it has been seen.
    pending = {make.remote(i): i for i in range(40)}
    while pending:
        (ref,), _ = ray.wait(list(pending))
        assert int(ray.get(ref)[3]) == pending.pop(ref)
        del ref


def test_room_freed_in_a_segment_of_one_s_own_is_enough(patient_store):
    half = np.zeros(MB // 2 - 4096, dtype=np.uint8)  # four fill a segment
    small = [ray.put(half) for _ in range(150)]
    done = []
    thread = threading.Thread(target=lambda: done.append([ray.put(half) for _ in range(30)]))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    # One of four stays in every segment: none becomes empty.
    for i in range(len(small)):
        if i % 4:
            small[i] = None
    thread.join(60)
    assert len(done[0]) == 30


def test_many_processes_with_small_objects_share_a_small_store(small_store):
    @ray.remote(num_cpus=0)
    class Holder:
        def hold(self):
            self.ref = ray.put(np.zeros(MB // 4, dtype=np.uint8))

    holders = [Holder.remote() for _ in range(12)]
    ray.get([holder.hold.remote() for holder in holders])


def test_ctrl_c_ends_the_wait(patient_store):
    held = fill()
    main = threading.main_thread().ident
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        ray.put(array(20))
    held.clear()
    assert int(ray.get(ray.put(array(40)))[0]) == 1


def test_room_of_a_dead_worker_comes_back(patient_store):
    @ray.remote(num_cpus=0)
    class Hoard:
        def take(self):
            self.refs = [ray.put(array(10)) for _ in range(7)]

    hoard = Hoard.remote()
    ray.get(hoard.take.remote())
    done = []
    thread = threading.Thread(target=lambda: done.append(ray.put(array(20))))
    thread.start()
    ray.kill(hoard)
    wait_for(lambda: done)
    thread.join()
