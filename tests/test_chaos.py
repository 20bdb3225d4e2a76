"""Mixed work while processes are killed: nothing is wrong, lost, doubled or left.

What each kind of work promises is checked call by call; tasks and calls that may run once only write a line
as they begin, so that a second run would be seen.
"""

import collections
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from _support import PEER, alive, ray, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="looks at our processes")

SHORT_S = 8
LONG_S = 600
KILL_EVERY_S = 0.5
Died = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.ActorDiedError,
    ray.exceptions.ActorUnavailableError,
)


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def command(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def parts():
    """The node's children: its zygote and control."""
    node = ray._state.state.node.pid
    return {
        "control" if command(p).startswith("eagleray-con") else "zygote": p for p in children(node)
    }


def workers():
    return children(parts()["zygote"])


class Killer(threading.Thread):
    """Kills one process that `candidates()` names, again and again."""

    def __init__(self, candidates, seed):
        super().__init__(daemon=True)
        self.candidates = candidates
        self.random = random.Random(seed)
        self.kills = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(KILL_EVERY_S):
            pids = self.candidates()
            if pids:
                try:
                    os.kill(self.random.choice(pids), signal.SIGKILL)
                    self.kills += 1
                except ProcessLookupError:
                    pass

    def stop(self):
        self.ended.set()
        self.join()


def write_line(path, text):
    with open(path, "a") as file:
        file.write(f"{text}\n")


@ray.remote(max_retries=-1)
def square(x):
    return x * x


@ray.remote(max_retries=0)
def once(path, key):
    write_line(path, key)
    return key


@ray.remote(max_retries=-1)
def tree(depth):
    return 1 if depth == 0 else 1 + sum(ray.get([tree.remote(depth - 1) for _ in range(2)]))


@ray.remote(max_retries=-1)
def blob(seed):
    return np.full(100_000, float(seed))


@ray.remote(max_retries=-1)
def total(array):
    return float(array.sum())


@ray.remote(max_retries=-1)
def lend(seed):
    return [ray.put(np.full(50_000, float(seed)))]


@ray.remote(max_restarts=-1, max_task_retries=-1)
class Steady:
    """Calls run at least once, and never an older one after a newer one within a life."""

    def __init__(self):
        self.last = -1

    def call(self, number):
        assert number > self.last, f"{number} came after {self.last}"
        self.last = number
        return number


@ray.remote(max_restarts=-1, max_task_retries=0)
class Careful:
    """Calls run at most once."""

    def call(self, path, key):
        write_line(path, key)
        return key


class Load:
    """Rounds of every kind of work. `answered`: what may run once and gave a value."""

    def __init__(self, path):
        self.path = str(path)
        self.numbers = iter(range(10**9))
        self.answered = []
        self.outcomes = collections.Counter()
        self.steady = [Steady.remote() for _ in range(2)]
        self.careful = Careful.remote()

    def round(self):
        numbers = [next(self.numbers) for _ in range(20)]
        first = numbers[0]
        squares = [square.remote(n) for n in numbers]
        singles = {k: once.remote(self.path, k) for k in (f"task {n}" for n in numbers[:4])}
        singles |= {
            k: self.careful.call.remote(self.path, k) for k in (f"call {n}" for n in numbers[:4])
        }
        trees = [tree.remote(2) for _ in range(2)]
        sums = [total.remote(blob.remote(n)) for n in numbers[:2]]
        lent = [lend.remote(n) for n in numbers[:2]]
        steady = [actor.call.remote(n) for actor in self.steady for n in numbers[:5]]
        dropped = square.remote(first)
        ray.cancel(dropped)

        assert ray.get(squares) == [n * n for n in numbers]
        assert ray.get(trees) == [7, 7]
        assert ray.get(sums) == [100_000.0 * n for n in numbers[:2]]
        assert ray.get(steady) == numbers[:5] * len(self.steady)
        for number, (inner,) in zip(numbers[:2], ray.get(lent), strict=True):
            assert float(ray.get(inner)[-1]) == number  # though its owner may be dead
        for key, ref in singles.items():
            try:
                assert ray.get(ref) == key
                self.answered.append(key)
                self.outcomes["answered"] += 1
            except Died as error:
                self.outcomes[type(error).__name__] += 1
        try:
            assert ray.get(dropped) == first * first
        except ray.exceptions.TaskCancelledError:
            self.outcomes["cancelled"] += 1

    def check(self):
        with open(self.path) as file:
            runs = collections.Counter(line.strip() for line in file)
        assert [key for key, count in runs.items() if count > 1] == []
        assert [key for key in self.answered if runs[key] != 1] == []


def at_rest():
    return ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"]


def run_load(tmp_path, seconds, candidates):
    load = Load(tmp_path / "runs")
    load.round()
    killer = Killer(candidates, seed=1)
    killer.start()
    end = time.monotonic() + seconds
    rounds = 0
    try:
        while time.monotonic() < end:
            load.round()
            rounds += 1
    finally:
        killer.stop()
    load.check()
    print(f"{rounds} rounds, {killer.kills} kills, {dict(load.outcomes)}")
    assert killer.kills > 0 and rounds > 0
    return load


@pytest.fixture
def cluster():
    ray.init(num_cpus=4)
    yield
    ray.shutdown()


def seconds():
    return [
        pytest.param(SHORT_S, id="short"),
        pytest.param(LONG_S, id="long", marks=[pytest.mark.long, pytest.mark.timeout(LONG_S * 2)]),
    ]


@pytest.mark.parametrize("duration", seconds())
def test_workers_are_killed(cluster, tmp_path, duration):
    load = run_load(tmp_path, duration, workers)
    del load
    wait_for(at_rest)


@pytest.mark.parametrize("duration", seconds())
def test_control_is_killed_under_load(cluster, tmp_path, duration):
    load = run_load(tmp_path, duration, lambda: [p for n, p in parts().items() if n == "control"])
    assert set(load.outcomes) <= {"answered", "cancelled"}  # nobody notices
    del load
    wait_for(at_rest)


@pytest.mark.parametrize("duration", seconds())
def test_workers_and_control_are_killed(cluster, tmp_path, duration):
    def any_of_them():
        control = parts().get("control")
        return workers() + ([control] if control else [])

    load = run_load(tmp_path, duration, any_of_them)
    del load
    wait_for(at_rest)


PROGRAM = """
import subprocess, sys, eagleray as ray
sys.path.insert(0, "tests")
from test_chaos import parts, workers
ray.init(num_cpus=2)

@ray.remote
def child():
    return subprocess.Popen(["setsid", "sleep", "1000"]).pid

sleeper = ray.get(child.remote())
node = ray._state.state.node.pid
print(node, parts()["control"], parts()["zygote"], sleeper, *workers(), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    "killed",
    [
        "driver",
        "node",
        "zygote",
        "driver node",
        "driver node control",
        "driver control workers",
        "all",
    ],
)
def test_what_is_killed_together_leaves_nothing(killed):
    driver = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": "python"},
    )
    node, control, zygote, sleeper, *pool = map(int, driver.stdout.readline().split())
    groups = {
        "driver": [driver.pid],
        "node": [node],
        "control": [control],
        "zygote": [zygote],
        "workers": pool,
    }
    names = groups if killed == "all" else killed.split()
    for sent in (signal.SIGSTOP, signal.SIGKILL):  # so that none hears of another's end first
        for name in names:
            for pid in groups[name]:
                try:
                    os.kill(pid, sent)
                except ProcessLookupError:
                    pass
    driver.communicate(timeout=60)
    left = [node, control, zygote, sleeper, *pool]
    try:
        wait_for(lambda: not any(alive(pid) for pid in left))
    finally:
        if alive(sleeper):
            os.kill(sleeper, signal.SIGKILL)
