import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from _support import ray, wait_for

pytestmark = pytest.mark.usefixtures("cluster")


@ray.remote
def echo(value):
    return value


@ray.remote
def add(a, b=1, *rest, scale=1):
    return (a + b + sum(rest)) * scale


class Plain:
    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return self.n == other.n


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -5,
        2**70,
        1.5,
        "text",
        "\ud800",
        b"bytes",
        (1, "a"),
        [1, [2]],
        {"k": {1, 2}},
        Plain(3),
        "x" * 300_000,
        b"y" * 300_000,
    ],
    ids=lambda v: f"{type(v).__name__}-{len(repr(v))}",
)
def test_values_come_back(value):
    result = ray.get(echo.remote(value))
    assert result == value and type(result) is type(value)
    assert ray.get(ray.put(value)) == value


def test_runs_in_another_process():
    @ray.remote
    def pid():
        return os.getpid()

    assert ray.get(pid.remote()) != os.getpid()


def test_argument_forms():
    assert ray.get(add.remote(1)) == 2
    assert ray.get(add.remote(1, 2, 3, scale=10)) == 60
    assert ray.get(add.remote(ray.put(1), b=ray.put(5))) == 6


def test_signature_is_checked_at_submission():
    with pytest.raises(TypeError):
        add.remote()
    with pytest.raises(TypeError):
        add.remote(1, unknown=2)
    with pytest.raises(TypeError, match="remote"):
        add(1)


def test_dependencies_chain():
    ref = ray.put(0)
    for _ in range(100):
        ref = add.remote(ref)
    assert ray.get(ref) == 100


def test_closures_lambdas_and_recursion():
    base = 10
    assert ray.get(ray.remote(lambda x: x + base).remote(1)) == 11

    @ray.remote
    def factorial(n):
        return 1 if n == 0 else n * ray.get(factorial.remote(n - 1))

    assert ray.get(factorial.remote(6)) == 720


def test_nested_tasks_do_not_deadlock():
    @ray.remote
    def tree(depth):
        if depth == 0:
            return 1
        return sum(ray.get([tree.remote(depth - 1) for _ in range(2)]))

    assert ray.get(tree.remote(5)) == 32


def test_num_returns():
    @ray.remote(num_returns=3)
    def three():
        return 1, 2, 3

    a, b, c = three.remote()
    assert ray.get([a, b, c]) == [1, 2, 3]

    @ray.remote(num_returns=0)
    def none():
        return None

    assert none.remote() is None
    assert ray.get(echo.options(num_returns=2).remote([1, 2])) == [1, 2]


def test_wrong_number_of_returns_is_an_error():
    @ray.remote(num_returns=3)
    def two():
        return 1, 2

    with pytest.raises(ValueError):
        ray.get(two.remote())


def test_errors_keep_their_class_and_cause():
    class Custom(Exception):
        def __init__(self, code):
            super().__init__(code)
            self.code = code

    @ray.remote
    def fails():
        raise Custom(7)

    with pytest.raises(Custom) as caught:
        ray.get(fails.remote())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert caught.value.code == 7 and caught.value.cause.code == 7
    assert "fails" in str(caught.value)


def test_errors_pass_through_dependent_tasks():
    @ray.remote
    def fails():
        raise KeyError("lost")

    with pytest.raises(KeyError):
        ray.get(echo.remote(fails.remote()))
    with pytest.raises(KeyError):
        ray.get(ray.remote(lambda: ray.get(fails.remote())).remote())


def test_unserialisable_argument_names_the_culprit():
    import threading

    with pytest.raises(TypeError, match="lock"):
        echo.remote({"a": threading.Lock()})


def test_unserialisable_result_is_an_error():
    @ray.remote
    def lock():
        import threading

        return threading.Lock()

    with pytest.raises(TypeError):
        ray.get(lock.remote())


def test_retry_exceptions(tmp_path):
    path = tmp_path / "attempts"

    @ray.remote(max_retries=3, retry_exceptions=[ValueError])
    def flaky():
        with open(path, "a") as file:
            file.write("x")
        if path.stat().st_size < 3:
            raise ValueError("again")
        return "done"

    assert ray.get(flaky.remote()) == "done"
    assert path.stat().st_size == 3


def test_exceptions_are_not_retried_unless_asked(tmp_path):
    path = tmp_path / "attempts"

    @ray.remote
    def fails():
        with open(path, "a") as file:
            file.write("x")
        raise ValueError

    with pytest.raises(ValueError):
        ray.get(fails.remote())
    assert path.stat().st_size == 1


def test_a_killed_worker_is_retried(tmp_path):
    path = tmp_path / "attempts"

    @ray.remote(max_retries=2)
    def dies():
        with open(path, "a") as file:
            file.write("x")
        if path.stat().st_size < 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"

    assert ray.get(dies.remote()) == "survived"


def test_a_killed_worker_without_retries_is_an_error(tmp_path):
    path = tmp_path / "attempts"

    @ray.remote(max_retries=0)
    def dies():
        with open(path, "a") as file:
            file.write("x")
        os._exit(3)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(dies.remote())
    assert path.stat().st_size == 1


def test_tasks_queued_behind_a_dying_one_survive():
    @ray.remote(max_retries=0)
    def maybe_die(i):
        if i == 50:
            os._exit(1)
        return i

    ray.get([maybe_die.remote(0) for _ in range(200)])  # the pipeline opens
    refs = [maybe_die.remote(i) for i in range(200)]
    for i, ref in enumerate(refs):
        if i == 50:
            with pytest.raises(ray.exceptions.WorkerCrashedError):
                ray.get(ref)
        else:
            assert ray.get(ref) == i


def test_long_tasks_run_side_by_side():
    @ray.remote
    def meet(path, n):
        open(os.path.join(path, str(os.getpid())), "w").close()
        wait_for(lambda: len(os.listdir(path)) >= n)
        return True

    import tempfile

    with tempfile.TemporaryDirectory() as path:
        assert ray.get([meet.remote(path, 4) for _ in range(4)]) == [True] * 4


def test_short_tasks_are_not_stuck_behind_a_long_one(tmp_path):
    ray.get([echo.remote(i) for i in range(500)])  # short so far: the pipeline is open
    flag = tmp_path / "flag"

    @ray.remote
    def maybe_long(i):
        if i == 0:
            wait_for(flag.exists)
        return i

    ray.get([maybe_long.remote(1) for _ in range(500)])
    refs = [maybe_long.remote(i) for i in range(100)]
    assert ray.get(refs[1:]) == list(range(1, 100))
    flag.touch()
    assert ray.get(refs[0]) == 0


def test_resources_limit_what_runs(tmp_path):
    @ray.remote(resources={"custom": 1}, num_cpus=0)
    def count(path):
        name = os.path.join(path, f"{os.getpid()}-{time.monotonic_ns()}")
        open(name, "w").close()
        running = len(os.listdir(path))
        time_out = time.monotonic() + 0.02
        while time.monotonic() < time_out:
            pass
        os.unlink(name)
        return running

    assert max(ray.get([count.remote(str(tmp_path)) for _ in range(10)])) <= 2


def test_max_calls_ends_the_worker():
    @ray.remote(max_calls=1)
    def pid():
        return os.getpid()

    assert len(set(ray.get([pid.remote() for _ in range(3)]))) == 3


def test_many_arguments_and_many_returns():
    refs = [ray.put(i) for i in range(2000)]

    @ray.remote
    def total(*values):
        return sum(values)

    assert ray.get(total.remote(*refs)) == sum(range(2000))

    @ray.remote(num_returns=500)
    def spread():
        return list(range(500))

    assert ray.get(spread.remote()) == list(range(500))


def test_module_state_persists_in_a_worker():
    @ray.remote
    def modules():
        import sys

        sys.eagleray_marker = getattr(sys, "eagleray_marker", 0) + 1
        return sys.eagleray_marker

    assert max(ray.get([modules.remote() for _ in range(50)])) > 1


def test_env_vars():
    @ray.remote(runtime_env={"env_vars": {"EAGLERAY_TEST_VAR": "set"}})
    def read():
        return os.environ.get("EAGLERAY_TEST_VAR")

    assert ray.get(read.remote()) == "set"

    @ray.remote
    def read_plain():
        return os.environ.get("EAGLERAY_TEST_VAR")

    assert ray.get(read_plain.remote()) is None


def test_generators_stream():
    @ray.remote
    def count(n):
        for i in range(n):
            yield i

    assert [ray.get(ref) for ref in count.remote(5)] == list(range(5))


def test_a_generator_that_fails_gives_what_it_made():
    @ray.remote
    def fails():
        yield 1
        raise ValueError("stop")

    stream = fails.remote()
    assert ray.get(next(stream)) == 1
    with pytest.raises(ValueError):
        ray.get(next(stream))
    with pytest.raises(StopIteration):
        next(stream)


def test_dynamic_returns():
    @ray.remote(num_returns="dynamic")
    def make(n):
        for i in range(n):
            yield i

    refs = list(ray.get(make.remote(4)))
    assert ray.get(refs) == [0, 1, 2, 3]


def test_numpy_arguments_and_results_large():
    array = np.arange(1_000_000)

    @ray.remote
    def double(x):
        assert not x.flags.writeable
        return x * 2

    result = ray.get(double.remote(array))
    assert np.array_equal(result, array * 2)


def test_a_generator_that_waits_for_its_reader_is_retried(tmp_path):
    died = tmp_path / "died"

    @ray.remote(num_returns="streaming", _generator_backpressure_num_objects=1)
    def count():
        for i in range(6):
            if i == 4 and not died.exists():
                died.touch()
                os._exit(1)
            yield i

    assert [ray.get(ref, timeout=60) for ref in count.remote()] == list(range(6))


@pytest.mark.only_eagleray  # so many cancels at such moments end Ray's driver
def test_a_cancel_hits_no_other_task():
    # It may come as its task ends, and the next one begins.
    @ray.remote
    def spin(rounds):
        return sum(range(rounds))

    draw = random.Random(7)
    for _ in range(3_000):
        first, others = spin.remote(4_000), [spin.remote(1_000) for _ in range(3)]
        for _ in range(draw.randrange(1_500)):
            pass
        ray.cancel(first)
        assert ray.get(others, timeout=60) == [sum(range(1_000))] * 3
        try:
            assert ray.get(first, timeout=60) == sum(range(4_000))
        except (ray.exceptions.TaskCancelledError, ray.exceptions.RayTaskError):
            pass


RETRIES_OWN_ERROR = """
import {ray} as ray
ray.init(num_cpus=1)

class Own(Exception):
    pass

@ray.remote
class Counter:
    def __init__(self):
        self.value = 0
    def next(self):
        self.value += 1
        return self.value

counter = Counter.remote()

@ray.remote(retry_exceptions=[Own], max_retries=2)
def fails_once():
    if ray.get(counter.next.remote()) == 1:
        raise Own
    return "done"

print(ray.get(fails_once.remote()))
"""


def test_exceptions_of_the_program_itself_can_be_retried(tmp_path):
    program = tmp_path / "program.py"  # a file: its classes are found by name, but only there
    program.write_text(RETRIES_OWN_ERROR.format(ray=ray.__name__))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60)
    assert "done" in done.stdout.splitlines(), done.stdout + done.stderr


def test_a_generator_that_fails_keeps_the_items_before(cluster):
    @ray.remote
    def fails_after_two():
        yield 0
        yield 1
        raise KeyError("late")

    first, second, third, fourth = fails_after_two.options(num_returns=4).remote()
    assert ray.get([first, second]) == [0, 1]
    for ref in (third, fourth):
        with pytest.raises(KeyError, match="late"):
            ray.get(ref)
    items = list(ray.get(fails_after_two.options(num_returns="dynamic").remote()))
    assert ray.get(items[:2]) == [0, 1] and len(items) == 3
    with pytest.raises(KeyError, match="late"):
        ray.get(items[2])
