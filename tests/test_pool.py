"""ray.util.multiprocessing.Pool: the standard library's own tests of Pool, run with ours, and what it has
beyond."""

import itertools
import multiprocessing
import multiprocessing.pool
import os
import signal
import time
import unittest
from importlib import import_module

import pytest
from _support import PEER, alive, ray, run_program, status_of, wait_for

pytest.importorskip("test._test_multiprocessing")
import _pool_cases

only_ours = pytest.mark.skipif(PEER, reason="beyond Ray's Pool")


# ---- the standard library's tests ----

EXCLUDED = {
    "test_unpickleable_result": "its result is a lambda, which can be pickled here",
    "test_pool_worker_lifetime": "looks at processes by private names; see test_processes_are_replaced",
    "test_worker_finalization_via_atexit_handler_of_multiprocessing": "of fork's own exit handlers",
}
CASES = [
    pytest.param(case, name, id=f"{case.__name__}.{name}")
    for case in _pool_cases.CASES
    for name in unittest.TestLoader().getTestCaseNames(case)
    if name not in EXCLUDED
]


def make(processes=None, **options):
    return import_module(f"{ray.__name__}.util.multiprocessing").Pool(processes, **options)


class _ModuleWithOurPool:
    """`multiprocessing`, as those tests see it."""

    def __getattr__(self, name):
        return make if name == "Pool" else getattr(multiprocessing, name)


@only_ours
@pytest.mark.parametrize(("case", "name"), CASES)
def test_of_the_standard_library(case, name, cluster, monkeypatch):
    monkeypatch.setattr(_pool_cases.stdlib, "multiprocessing", _ModuleWithOurPool())
    monkeypatch.setattr(case, "Pool", staticmethod(make), raising=False)
    result = unittest.TestResult()
    unittest.TestSuite([case(name)]).run(result)
    told = [text for _, text in result.errors + result.failures]
    assert not told, "\n".join(told)
    assert result.testsRun == 1 and not result.skipped


@only_ours
def test_what_is_excluded_is_there():
    names = {n for case in _pool_cases.CASES for n in unittest.TestLoader().getTestCaseNames(case)}
    assert set(EXCLUDED) < names


# ---- what Ray's has, too ----


@pytest.fixture
def pool(cluster):
    with make(2) as made:
        yield made
    made.join()


def square(x):
    return x * x


def test_every_call_gives_what_the_standard_library_gives(pool):
    assert pool.apply(square, (3,)) == 9
    assert pool.apply(sorted, ([3, 1],), {"reverse": True}) == [3, 1]
    assert pool.apply_async(square, (4,)).get(timeout=60) == 16
    assert pool.map(square, range(50)) == [x * x for x in range(50)]
    assert pool.map(square, range(10), chunksize=3) == [x * x for x in range(10)]
    assert pool.map_async(square, [1, 2]).get(60) == [1, 4]
    assert pool.starmap(pow, [(2, 3), (3, 2)]) == [8, 9]
    assert pool.starmap_async(pow, [(2, 3)]).get(60) == [8]
    assert list(pool.imap(square, range(20), chunksize=4)) == [x * x for x in range(20)]
    assert sorted(pool.imap_unordered(square, range(20))) == [x * x for x in range(20)]


def test_callbacks(pool):
    good, bad = [], []
    result = pool.apply_async(square, (3,), callback=good.append, error_callback=bad.append)
    result.wait(60)
    wait_for(lambda: good)
    assert good == [9] and not bad and (PEER or result.successful())
    result = pool.apply_async(square, ("a",), callback=good.append, error_callback=bad.append)
    with pytest.raises(TypeError):
        result.get(60)
    wait_for(lambda: bad)
    assert len(good) == 1 and not result.successful()
    assert PEER or isinstance(bad[0], TypeError)  # Ray gives what it has wrapped it in


def test_states(cluster, tmp_path):
    flag = tmp_path / "flag"
    pool = make(1)
    result = pool.apply_async(lambda: wait_for(flag.exists) and None)
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    pool.close()
    with pytest.raises(ValueError, match="not running"):
        pool.apply(square, (1,))
    flag.touch()
    pool.join()
    assert result.ready() and result.get() is None


def test_timeouts(pool):
    with pytest.raises(multiprocessing.TimeoutError):
        pool.apply_async(time.sleep, (5,)).get(timeout=0.05)
    results = pool.imap(time.sleep, [5])
    with pytest.raises(multiprocessing.TimeoutError):
        results.next(timeout=0.05)


def test_initializer(cluster):
    def remember(value):
        os.environ["OF_THE_POOL"] = value

    with make(2, initializer=remember, initargs=("yes",)) as pool:
        assert set(pool.map(lambda _: os.environ["OF_THE_POOL"], range(8))) == {"yes"}


def test_too_many_processes(cluster):
    with pytest.raises(ValueError, match="only 4 CPUs"):
        make(5)


def test_the_iterable_may_be_endless(pool):
    squares = pool.imap(square, itertools.count())
    assert [next(squares) for _ in range(100)] == [x * x for x in range(100)]


@pytest.mark.parametrize("address", ["", "local"])
def test_it_connects_by_itself(address):
    out, _ = run_program(
        f"""
        import {ray.__name__} as ray
        from {ray.__name__}.util.multiprocessing import Pool
        with Pool(3, ray_address={address!r} or None, ray_remote_args={{"num_cpus": 1}}) as pool:
            print(pool.apply(abs, (-3,)), int(ray.cluster_resources()["CPU"]))
        """
    )
    assert out.splitlines()[-1] == "3 3"


def test_closures_and_lambdas(pool):
    factor = 3
    assert pool.map(lambda x: x * factor, range(5)) == [0, 3, 6, 9, 12]


# ---- beyond ----


@only_ours
def test_processes_are_replaced(cluster):
    with make(2, maxtasksperchild=3) as pool:
        pids = pool.map(lambda _: os.getpid(), range(30), chunksize=1)
    assert max(pids.count(pid) for pid in set(pids)) <= 3
    assert len(set(pids)) >= 10


@only_ours
def test_a_process_that_dies_fails_its_call_only(pool):
    result = pool.map_async(square, range(5), chunksize=1)
    dead = pool.apply_async(os._exit, (1,))
    with pytest.raises(ray.exceptions.RayActorError):
        dead.get(60)
    assert result.get(60) == [0, 1, 4, 9, 16]
    assert pool.map(square, range(20), chunksize=1) == [x * x for x in range(20)]


@only_ours
def test_calls_behind_one_that_dies_are_run_elsewhere(cluster, tmp_path):
    with make(1) as pool:
        pool.map(
            square, range(100), chunksize=1
        )  # quick: two messages are on their way to a worker
        results = [pool.apply_async(os._exit if i == 1 else square, (i,)) for i in range(8)]
        with pytest.raises(ray.exceptions.RayActorError):
            results[1].get(60)
        assert [results[i].get(60) for i in range(8) if i != 1] == [
            i * i for i in range(8) if i != 1
        ]


@only_ours
def test_chunks_of_a_message_that_had_not_begun_are_run_elsewhere(cluster, tmp_path):
    """A message of quick calls has many; the worker dies in one of them."""
    lethal = 137

    def once(i):
        with open(tmp_path / "ran", "a") as file:
            file.write(f"{i}\n")
        if i == lethal and not (tmp_path / "died").exists():
            (tmp_path / "died").write_text("")
            os._exit(1)
        return i

    with make(2) as pool:
        pool.map(once, range(1000, 1300), chunksize=1)  # learns that it is quick
        results = pool.imap_unordered(once, range(300))
        results._send_all()
        good, bad = [], 0
        for _ in range(300):
            try:
                good.append(results.next(60))
            except ray.exceptions.RayActorError:
                bad += 1
        pool._workers.finish()
    ran = [int(line) for line in (tmp_path / "ran").read_text().split() if int(line) < 1000]
    assert sorted(ran) == list(range(300))  # each once: none of those that had begun ran again
    assert bad >= 1 and len(good) + bad == 300
    assert lethal not in good


@only_ours
def test_a_pool_whose_workers_are_killed_all_the_time_goes_on(pool):
    """Each call has an outcome: no hang."""
    import threading

    ended = threading.Event()

    def kill():
        while not ended.wait(0.3):
            for worker in list(pool._pool):
                if ray.wait([worker.first], timeout=0)[0]:
                    try:
                        os.kill(ray.get(worker.first), signal.SIGKILL)
                    except (OSError, ray.exceptions.RayError):
                        pass
                    break

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        results = [pool.apply_async(time.sleep, (0.02,)) for _ in range(100)]
        outcomes = []
        for each in results:
            each.wait(120)
            outcomes.append(each.successful())
    finally:
        ended.set()
        killer.join()
    assert len(outcomes) == 100 and outcomes.count(True) > 50


@only_ours
def test_what_terminate_leaves_raises(cluster):
    pool = make(2)
    pids = [worker.pid for worker in pool._pool]
    results = [pool.apply_async(time.sleep, (60,)) for _ in range(5)]
    pool.terminate()
    pool.join()
    for result in results:
        with pytest.raises(ray.exceptions.RayActorError):
            result.get(60)
    wait_for(lambda: not any(map(alive, pids)))


@only_ours
def test_an_initializer_that_raises_is_said_at_once(cluster):
    with pytest.raises(ray.exceptions.RayActorError, match="no such luck"):
        make(1, initializer=_raise)
    with pytest.raises(TypeError, match="callable"):
        make(1, initializer=3)


def _raise():
    raise RuntimeError("no such luck")


@only_ours
def test_results_that_cannot_be_pickled(pool):
    import threading

    with pytest.raises(multiprocessing.pool.MaybeEncodingError):
        pool.apply(threading.Lock)
    assert pool.apply(square, (2,)) == 4


@only_ours
def test_few_messages(pool, monkeypatch):
    """A map sends four chunks a process, and its function once to each."""
    workers = pool._workers
    sent = []
    send = workers._send

    def watch(worker, chunks):
        sent.append((len(chunks), worker.number != chunks[0].function.number))
        send(worker, chunks)

    monkeypatch.setattr(workers, "_send", watch)
    assert pool.map(square, range(100_000))[-1] == 99_999**2
    assert sum(chunks for chunks, _ in sent) == 8 and sum(new for _, new in sent) == 2
    sent.clear()
    assert len(pool.map(square, range(10_000), chunksize=1)) == 10_000
    assert sum(chunks for chunks, _ in sent) == 10_000
    assert len(sent) < 2_000  # quick chunks go many in a message


@only_ours
def test_a_program_of_the_standard_library():
    """The initializer's globals are those of the functions, as in forked processes."""
    out, _ = run_program(
        """
        from eagleray.util.multiprocessing import Pool

        table = None

        def prepare(values):
            global table
            table = values

        def look_up(key):
            return table[key]

        def main():
            with Pool(2, prepare, ({"a": 1, "b": 2},)) as pool:
                print(pool.map(look_up, "abba"))

        if __name__ == "__main__":
            main()
        """
    )
    assert out == "[1, 2, 2, 1]\n"


# ---- what a review has found ----


def lock_of_seven(x):
    import threading

    return threading.Lock() if x == 7 else x


@only_ours
def test_a_timeout_is_not_over_when_others_come_first(pool):
    assert pool.imap(time.sleep, [0.5, 0, 0, 0]).next(timeout=60) is None


@only_ours
def test_nothing_waits_behind_another_function(pool):
    """Which may take long, or wait for the other."""
    pool.map(square, range(400), chunksize=1)  # quick
    slow = pool.apply_async(time.sleep, (60,))
    quick = [pool.apply_async(square, (i,)) for i in range(6)]
    assert [result.get(60) for result in quick] == [i * i for i in range(6)]
    assert not slow.ready()


@only_ours
def test_one_that_cannot_be_pickled_fails_alone(pool):
    """Also where many are in a message."""
    numbers = [x for x in range(8, 400)] + [7]
    pool.map(lock_of_seven, numbers[:-1], chunksize=1)
    good, bad = [], 0
    results = pool.imap_unordered(lock_of_seven, numbers)
    results._send_all()
    while True:
        try:
            good.append(next(results))
        except StopIteration:
            break
        except multiprocessing.pool.MaybeEncodingError:
            bad += 1
    assert bad == 1 and sorted(good) == numbers[:-1]


@only_ours
def test_processes_killed_while_idle_are_replaced(pool):
    pids = [worker.pid for worker in pool._pool]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(map(alive, pids)))
    assert pool.map(square, range(8)) == [x * x for x in range(8)]


@only_ours
def test_processes_killed_while_idle_are_replaced_before_their_parent_knows(pool):
    """A zombie runs nothing, either."""
    pids = [worker.pid for worker in pool._pool]
    parents = {status_of(pid, "PPid") for pid in pids}
    for parent in parents:
        os.kill(parent, signal.SIGSTOP)
    try:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(map(alive, pids)))
        result = pool.map_async(square, range(8))
    finally:
        for parent in parents:
            os.kill(parent, signal.SIGCONT)
    assert result.get(60) == [x * x for x in range(8)]


@only_ours
def test_join_waits_for_all_of_imap(cluster):
    """As in the standard library, where results are often taken after it."""
    pool = make(2)
    results = pool.imap(square, range(100))
    pool.close()
    pool.join()
    assert list(results) == [x * x for x in range(100)]


@only_ours
def test_a_callback_that_exits_does_not_end_callbacks(pool, capsys):
    def leave(value):
        raise SystemExit(3)

    assert pool.apply_async(square, (1,), callback=leave).get(60) == 1
    told = []
    assert pool.apply_async(square, (2,), callback=told.append).get(60) == 4
    assert told == [4]


@only_ours
def test_shutdown_ends_waiting():
    """Of results and of futures; and a pool starts no other cluster."""
    out, _ = run_program(
        """
        import threading, time
        import eagleray as ray
        from eagleray.util.multiprocessing import Pool

        ray.init(num_cpus=2)
        pool = Pool(2)
        running = [pool.apply_async(time.sleep, (60,)) for _ in range(6)]
        future = ray.remote(num_cpus=0)(time.sleep).remote(60).future()
        threading.Timer(0.3, ray.shutdown).start()
        for wait in [future.result, *(each.get for each in running)]:
            try:
                print(wait(30))
            except ConnectionError:
                print("gone")
        try:
            pool.map(abs, [1])
        except ConnectionError as error:
            print(error)
        pool.close()
        pool.join()
        print(ray.is_initialized())
        """
    )
    assert out.splitlines() == ["gone"] * 7 + [
        "the pool's processes have ended: ray.shutdown() was called",
        "False",
    ]
