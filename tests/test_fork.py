"""A program's own child processes and the cluster leave each other alone."""

import concurrent.futures
import math
import multiprocessing
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
