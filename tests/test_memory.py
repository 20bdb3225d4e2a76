"""The memory monitor ends the task that grew before the kernel ends something."""

import os

import pytest
from _support import ray, wait_for

pytestmark = pytest.mark.only_eagleray
ROOM = 200 << 20  # bytes below the limit
BLOCK = 16 << 20
GROWTH_MAX = 6 << 30  # other programs may free memory meanwhile; the limit is reached all the same


def used_share():
    """What the monitor takes for the machine's share of memory in use."""
    with open("/proc/meminfo") as file:
        kib = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return 1 - kib["MemAvailable"] / kib["MemTotal"], ROOM / (kib["MemTotal"] << 10)


@pytest.fixture
def short_of_memory():
    """A cluster whose limit is passed when a task has taken ROOM."""
    used, room = used_share()
    ray.init(
        num_cpus=2,
        _system_config={
            "memory_usage_threshold": used + room,
            "memory_monitor_refresh_ms": 20,
            "task_oom_retry_delay_base_ms": 10,
        },
    )
    yield
    ray.shutdown()


def take_all():
    """Takes memory until this process is ended."""
    blocks = []
    for _ in range(GROWTH_MAX // BLOCK):
        block = bytearray(BLOCK)
        for at in range(0, BLOCK, 4096):
            block[at] = 1
        blocks.append(block)
    return len(blocks)


@ray.remote
def grow(path):
    with open(path, "a") as file:
        print(os.getpid(), file=file)
    return take_all()


def runs(path):
    with open(path) as file:
        return len(file.readlines())


def test_a_task_without_retries_is_an_error_that_says_what_to_do(short_of_memory, tmp_path):
    path = str(tmp_path / "runs")
    bystander = ray.remote(lambda: 1)
    with pytest.raises(ray.exceptions.OutOfMemoryError) as caught:
        ray.get(grow.options(max_retries=0).remote(path))
    text = str(caught.value)
    for part in (
        "memory monitor ended",
        "more than when it started",
        "Largest processes",
        "What to do",
    ):
        assert part in text
    assert runs(path) == 1
    assert ray.get(bystander.remote()) == 1


def test_its_retries_for_memory_are_not_those_of_max_retries(short_of_memory, tmp_path):
    path = str(tmp_path / "runs")
    ref = grow.options(max_retries=1).remote(path)
    wait_for(lambda: os.path.exists(path) and runs(path) >= 3)  # more often than max_retries
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)


def test_an_actor_too(short_of_memory):
    @ray.remote
    class Hoard:
        def grow(self):
            return take_all()

    with pytest.raises(ray.exceptions.OutOfMemoryError, match="of actor Hoard"):
        ray.get(Hoard.remote().grow.remote())
