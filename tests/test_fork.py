"""A program's own child processes and the cluster leave each other alone."""

import concurrent.futures
import gc
import math
import multiprocessing
import signal
import subprocess

import pytest
from _support import ray

pytestmark = pytest.mark.usefixtures("cluster")
ROOTS = [math.sqrt(x) for x in range(5)]


def pool(method):
    with multiprocessing.get_context(method).Pool(2) as workers:
        return workers.map(math.sqrt, range(5))


def executor(method):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as workers:
        return list(workers.map(math.sqrt, range(5)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("run", [pool, executor])
def test_multiprocessing_in_a_task_and_in_an_actor(run, method):
    @ray.remote
    class Actor:
        def run(self):
            return run(method)

    refs = [ray.remote(lambda: run(method)).remote(), Actor.remote().run.remote()]
    assert ray.get(refs) == [ROOTS, ROOTS]


def test_children_of_the_driver():
    square = ray.remote(lambda x: x * x)
    refs = [square.remote(x) for x in range(200)]
    assert subprocess.run(["echo", "here"], capture_output=True, text=True).stdout == "here\n"
    assert pool("fork") == ROOTS
    assert ray.get(refs) == [x * x for x in range(200)]


@pytest.mark.only_eagleray
def test_a_forked_child_ends_at_sigterm():
    context = multiprocessing.get_context("fork")
    lock = context.Lock()
    with lock:
        child = context.Process(target=lock.acquire)
        child.start()
        child.terminate()
        child.join(60)
        assert child.exitcode == -signal.SIGTERM


@pytest.mark.only_eagleray
def test_references_that_a_forked_child_drops_stay_the_parent_s():
    make = ray.remote(lambda i: [i] * 100_000)
    held = {i: make.remote(i) for i in range(20)}
    arrays = [ray.put(bytes(200_000)) for _ in range(20)]
    busy = [make.remote(i) for i in range(200)]  # so that the core is at work while it forks

    def drops():
        held.clear()
        arrays.clear()
        busy.clear()
        gc.collect()

    children = [multiprocessing.get_context("fork").Process(target=drops) for _ in range(10)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        child.kill()  # one that hangs
    assert [child.exitcode for child in children] == [0] * 10
    assert [ray.get(ref)[0] for ref in held.values()] == list(range(20))
    assert [len(x) for x in ray.get(arrays)] == [200_000] * 20
    assert [x[0] for x in ray.get(busy)] == list(range(200))


@pytest.mark.only_eagleray
def test_a_forked_child_of_a_task_is_a_program_of_its_own():
    @ray.remote
    def parent():
        def child(out):
            out.put(ray.is_initialized())

        context = multiprocessing.get_context("fork")
        out = context.Queue()
        process = context.Process(target=child, args=(out,))
        process.start()
        process.join()
        return out.get(), ray.get(ray.remote(lambda: 1).remote())

    assert ray.get(parent.remote()) == (False, 1)
