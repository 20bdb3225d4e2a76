"""The process that made an object dies; whoever holds a reference keeps the object."""

import os
import signal

import numpy as np
import pytest
from _support import PEER, ray, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="Ray loses what a dead process owned")

LARGE = 300_000  # float64: 2.4 MB, in the store


@pytest.fixture
def fresh():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


def segments():
    """How many segments of the store the node holds."""
    folder = f"/proc/{ray._state.state.node.pid}/fd"
    count = 0
    for name in os.listdir(folder):
        try:
            count += "eagleray-segment" in os.readlink(os.path.join(folder, name))
        except OSError:
            pass
    return count


@ray.remote
class Maker:
    def make(self, value):
        return [ray.put(value)]

    def zeros(self, count):
        return [ray.put(np.zeros(count))]

    def nested(self, value):
        return [ray.put([ray.put(value)])]

    def never(self):
        @ray.remote
        def slow():
            signal.pause()

        return [slow.remote()]

    def computed(self, count):
        @ray.remote
        def make():
            return np.full(count, 7.0)

        refs = [make.remote()]
        ray.wait(refs)
        return refs

    def pid(self):
        return os.getpid()


def end(maker):
    pid = ray.get(maker.pid.remote())
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(maker.pid.remote())


@pytest.mark.parametrize("value", ["small", "x" * 50_000, np.arange(LARGE, dtype=float)])
def test_a_value_outlives_its_owner(fresh, value):
    maker = Maker.remote()
    (ref,) = ray.get(maker.make.remote(value))
    end(maker)
    assert np.array_equal(ray.get(ref), value)


def test_so_does_what_it_refers_to(fresh):
    maker = Maker.remote()
    (ref,) = ray.get(maker.nested.remote("inner"))
    end(maker)
    (inner,) = ray.get(ref)
    del ref
    assert ray.get(inner) == "inner"


def test_a_result_in_another_process_s_memory_too(fresh):
    maker = Maker.remote()
    (ref,) = ray.get(maker.computed.remote(LARGE))
    end(maker)
    assert ray.get(ref).sum() == 7.0 * LARGE


def test_a_view_stays_what_it_was(fresh):
    maker = Maker.remote()
    (ref,) = ray.get(maker.make.remote(np.arange(LARGE, dtype=float)))
    view = ray.get(ref)
    end(maker)
    other = Maker.remote()
    others = [ray.get(other.make.remote(np.zeros(LARGE))) for _ in range(20)]
    assert np.array_equal(view, np.arange(LARGE, dtype=float))
    assert len(others) == 20


def test_the_orphan_can_be_passed_on(fresh):
    maker, other = Maker.remote(), Maker.remote()
    (ref,) = ray.get(maker.make.remote("value"))
    end(maker)

    @ray.remote
    def read(refs, value):
        return ray.get(refs[0]) + value

    assert ray.get(read.remote([ref], ref)) == "valuevalue"
    (outer,) = ray.get(other.make.remote([ref]))
    del ref
    assert ray.get(ray.get(outer)[0]) == "value"


def test_a_worker_that_exits_leaves_its_objects(fresh):
    @ray.remote(max_calls=1)
    def make():
        return [ray.put("kept"), os.getpid()]

    ref, pid = ray.get(make.remote())
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))
    assert ray.get(ref) == "kept"


def test_what_was_never_computed_is_an_error(fresh):
    maker = Maker.remote()
    (ref,) = ray.get(maker.never.remote())
    end(maker)
    with pytest.raises(ray.exceptions.OwnerDiedError):
        ray.get(ref, timeout=60)


def test_the_room_comes_back(fresh):
    before = segments()
    maker = Maker.remote()
    refs = [ray.get(maker.zeros.remote(LARGE))[0] for _ in range(5)]
    assert segments() > before
    end(maker)
    assert all(ray.get(ref).sum() == 0 for ref in refs)
    refs.clear()
    wait_for(lambda: segments() <= before)
