"""Control dies and comes back: tasks and calls go on, nothing acknowledged is lost or done twice."""

import os
import signal
import threading

import pytest
from _support import PEER, alive, ray, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="ends our control process")


@pytest.fixture
def fresh():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


def control_pid():
    """The process of control, a child of our node, or None while there is none."""
    node = ray._state.state.node.pid
    with open(f"/proc/{node}/task/{node}/children") as file:
        for pid in file.read().split():
            try:
                with open(f"/proc/{pid}/comm") as comm:
                    if comm.read().startswith("eagleray-contro") and alive(int(pid)):
                        return int(pid)
            except OSError:
                pass
    return None


def kill_control():
    pid = wait_for(control_pid)
    os.kill(pid, signal.SIGKILL)
    return pid


@ray.remote
class Counter:
    def __init__(self):
        self.value = 0

    def add(self):
        self.value += 1
        return self.value

    def pid(self):
        return os.getpid()


@ray.remote
def double(x):
    return 2 * x


def test_control_is_started_again(fresh):
    pid = kill_control()
    assert wait_for(lambda: control_pid() not in (None, pid))


def test_calls_go_on_without_control(fresh):
    counter = Counter.remote()
    assert ray.get(counter.add.remote()) == 1
    kill_control()
    assert ray.get([double.remote(i) for i in range(100)]) == [2 * i for i in range(100)]
    assert ray.get([counter.add.remote() for _ in range(100)])[-1] == 101


def test_names_survive(fresh):
    counter = Counter.options(name="kept").remote()
    ray.get(counter.add.remote())
    kill_control()
    assert ray.get(ray.get_actor("kept").add.remote()) == 2
    with pytest.raises(ValueError):
        Counter.options(name="kept").remote()
        ray.get(Counter.options(name="kept").remote().add.remote())


def test_an_actor_that_dies_while_control_is_away_restarts(fresh):
    counter = Counter.options(max_restarts=1, max_task_retries=-1).remote()
    worker = ray.get(counter.pid.remote())
    kill_control()
    os.kill(worker, signal.SIGKILL)
    assert ray.get(counter.pid.remote(), timeout=60) != worker


def test_an_actor_created_while_control_is_away(fresh):
    kill_control()
    assert ray.get(Counter.remote().add.remote(), timeout=60) == 1


def test_a_killed_actor_stays_dead(fresh):
    counter = Counter.options(name="short").remote()
    worker = ray.get(counter.pid.remote())
    kill_control()
    ray.kill(counter)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(counter.add.remote(), timeout=60)
    wait_for(lambda: not alive(worker))
    with pytest.raises(ValueError):
        ray.get_actor("short")


def test_placement_groups_survive(fresh):
    group = ray.util.placement_group([{"CPU": 1}, {"CPU": 1}])
    assert group.wait(60)
    kill_control()
    strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group)
    assert ray.get(double.options(scheduling_strategy=strategy).remote(4), timeout=60) == 8
    ray.util.remove_placement_group(group)
    wait_for(lambda: ray.available_resources().get("CPU") == 2)


def test_killed_again_and_again_nothing_is_lost_or_doubled(fresh):
    stop = threading.Event()
    kills = []

    def nemesis():
        while not stop.wait(0.01):
            pid = control_pid()
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                kills.append(pid)

    thread = threading.Thread(target=nemesis)
    thread.start()
    try:
        for number in range(100):
            name = f"actor-{number}"
            counter = Counter.options(name=name, num_cpus=0).remote()
            assert ray.get([counter.add.remote() for _ in range(20)], timeout=60)[-1] == 20
            # One incarnation, one constructor: the count goes on where it was.
            assert ray.get(ray.get_actor(name).add.remote(), timeout=60) == 21
            ray.kill(counter)
            with pytest.raises(ray.exceptions.RayActorError):
                ray.get(counter.add.remote(), timeout=60)
    finally:
        stop.set()
        thread.join()
    assert len(set(kills)) > 3
    wait_for(lambda: ray.available_resources().get("CPU") == 2)
    assert ray.util.list_named_actors() == []
