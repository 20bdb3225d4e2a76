"""Wrong input is a clear error at once, and the cluster works afterwards."""

from __future__ import annotations

import builtins
import sys
import threading
import traceback

import pytest
from _support import PEER, ray, run_program

only_eagleray = pytest.mark.skipif(PEER, reason="Ray says it otherwise, or not at all")


@ray.remote
def one(*args, **kwargs):
    return 1


@ray.remote
class Actor:
    def one(self, *args):
        return 1


@ray.remote
def numbers(n):
    for i in range(n):  # Ray does not take `yield from range(n)`
        yield i


@pytest.fixture(autouse=True)
def works_afterwards(cluster):
    yield
    assert ray.get(one.remote(), timeout=60) == 1


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("num_cpus", "x", TypeError),
        ("num_cpus", float("nan"), ValueError),
        ("num_cpus", -1, ValueError),
        ("num_gpus", "x", TypeError),
        ("memory", -5, ValueError),
        ("resources", [1], TypeError),
        ("resources", {"x": -1}, ValueError),
        ("accelerator_type", 5, TypeError),
        ("label_selector", 5, TypeError),
        ("label_selector", {"a": 5}, TypeError),
        ("label_selector", {"a": "in("}, ValueError),
        ("fallback_strategy", 5, TypeError),
        ("num_returns", -3, ValueError),
        ("num_returns", 1.5, TypeError),
        ("max_retries", "3", TypeError),
        ("retry_exceptions", "yes", TypeError),
        ("retry_exceptions", [1], ValueError),
        ("runtime_env", 3, TypeError),
        ("name", 5, TypeError),
        ("scheduling_strategy", 5, TypeError),
        ("placement_group", 5, TypeError),
        ("enable_task_events", "x", TypeError),
        ("_labels", 5, TypeError),
        ("_metadata", 1, ValueError),
        ("max_calls", 3, ValueError),
    ],
)
def test_options_of_tasks(option, value, error):
    with pytest.raises(error):
        one.options(**{option: value})


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("max_restarts", -2, ValueError),
        ("max_restarts", "x", TypeError),
        ("max_concurrency", "a", TypeError),
        ("max_task_retries", -2, ValueError),
        ("max_pending_calls", -2, ValueError),
        ("lifetime", "forever", ValueError),
        ("namespace", 3, TypeError),
        ("get_if_exists", 3, TypeError),
        ("get_if_exists", True, ValueError),
        ("allow_out_of_order_execution", 3, TypeError),
        ("concurrency_groups", {"a": 1}, ValueError),
        ("num_returns", 2, ValueError),
    ],
)
def test_options_of_actors(option, value, error):
    with pytest.raises(error):
        Actor.options(**{option: value})


@only_eagleray
@pytest.mark.parametrize("groups", [{"a": 0}, {"a": "x"}, {5: 1}, [5], [{"name": "a"}], 7])
def test_concurrency_groups(groups):
    with pytest.raises((TypeError, ValueError)):
        ray.remote(concurrency_groups=groups)(Actor._cls)


@only_eagleray
def test_options_of_methods():
    actor = Actor.remote()
    for options, error in [
        ({"num_returns": -3}, ValueError),
        ({"concurrency_group": 5}, TypeError),
        ({"num_cpus": 1}, ValueError),
    ]:
        with pytest.raises(error):
            actor.one.options(**options)
    with pytest.raises(ValueError, match="'nope'"):
        actor.one.options(concurrency_group="nope").remote()
    assert ray.get(actor.one.remote()) == 1


@pytest.mark.parametrize(
    "what", [5, "x", None, lambda: one], ids=["number", "text", "nothing", "remote"]
)
def test_only_functions_and_classes_become_remote(what):
    with pytest.raises((TypeError, ValueError, AssertionError, AttributeError)):
        ray.remote(what() if callable(what) else what)


def test_an_unknown_string_is_no_strategy():
    with pytest.raises(ValueError):
        one.options(scheduling_strategy="NOPE").remote()


def test_streaming_needs_a_generator():
    with pytest.raises(ValueError, match="generator"):
        one.options(num_returns="streaming").remote()


# ---- objects ----


@pytest.mark.parametrize("refs", [5, None, "x", {1}])
def test_get_of_something_else(refs):
    with pytest.raises(ValueError):
        ray.get(refs)


def test_get_of_a_list_with_something_else():
    for inner in (5, [ray.put(1)]):
        with pytest.raises(TypeError):
            ray.get([ray.put(1), inner])


@only_eagleray
@pytest.mark.parametrize(
    ("timeout", "error"), [("x", TypeError), (-1, ValueError), (float("nan"), ValueError)]
)
def test_time_outs(timeout, error):
    ref = ray.put(1)
    with pytest.raises(error, match="timeout"):
        ray.get(ref, timeout=timeout)
    with pytest.raises(error, match="timeout"):
        ray.wait([ref], timeout=timeout)


def test_a_time_out_of_nothing_polls():
    ref = one.options(resources={"unknown": 1}).remote()
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(ref, timeout=0)
    assert ray.wait([ref], timeout=0) == ([], [ref])
    ray.cancel(ref)


def test_arguments_of_wait():
    ref = ray.put(1)
    for refs, options, error in [
        (ref, {}, TypeError),
        ((ref,), {}, TypeError),
        ([5], {}, TypeError),
        ([ref, ref], {}, ValueError),
        ([ref], {"num_returns": 0}, ValueError),
        ([ref], {"num_returns": 2}, ValueError),
        ([ref], {"num_returns": "1"}, TypeError),
    ]:
        with pytest.raises(error):
            ray.wait(refs, **options)


def test_put_refuses_an_owner():
    with pytest.raises(ValueError, match="_owner"):
        ray.put(1, _owner=Actor.remote())


def test_arguments_of_cancel_and_kill():
    for what in (5, [ray.put(1)], "x", Actor):
        with pytest.raises(TypeError):
            ray.cancel(what)
        with pytest.raises(ValueError):
            ray.kill(what)
    with pytest.raises(ValueError):
        ray.cancel(Actor.remote().one.remote(), force=True)


def test_arguments_of_get_actor():
    for name, error in [("", ValueError), (5, TypeError), ("none\0such\n\u2603", ValueError)]:
        with pytest.raises(error):
            ray.get_actor(name)
    with pytest.raises(TypeError):
        ray.get_actor("x", 5)


def test_a_generator_in_wait():
    generator = numbers.remote(2)
    plain = one.options(resources={"unknown": 1}).remote()
    ready, rest = ray.wait([plain, generator], timeout=60)
    assert ready == [generator] and rest == [plain]
    assert [ray.get(ref) for ref in generator] == [0, 1]
    with pytest.raises(TypeError):
        ray.wait(generator)
    ray.cancel(plain)


def test_a_generator_cannot_be_passed():
    with pytest.raises(TypeError):
        one.remote(numbers.remote(1))


# ---- functions, arguments, results ----


def test_what_cannot_be_pickled_is_named():
    lock = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        ray.remote(lambda: lock).remote()
    with pytest.raises(TypeError, match="lock"):
        one.remote({"deep": [lock]})
    with pytest.raises(TypeError, match="lock"):
        ray.put(lock)


@only_eagleray
def test_the_path_to_what_cannot_be_pickled():
    with pytest.raises(TypeError, match=r"the value\['deep'\]\[0\] of type _thread.lock"):
        one.remote({"deep": [threading.Lock()]})
    captured = {"inner": threading.Lock()}
    with pytest.raises(TypeError, match=r"captured \(captured by .*\)\['inner'\]"):
        ray.remote(lambda: captured).remote()


def test_an_argument_nested_without_end():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Exception, match="recursion"):
        one.remote(deep)


def test_recursion_without_end():
    @ray.remote
    def forever():
        def again(depth):
            return again(depth + 1)

        return again(0)

    with pytest.raises(RecursionError):
        ray.get(forever.remote())


def test_odd_names():
    for name in ("a b/../\n\u2603", "x" * 10_000):
        actor = Actor.options(name=name).remote()
        assert ray.get(ray.get_actor(name).one.remote()) == 1
        ray.kill(actor)
        assert ray.get(one.options(name=name).remote()) == 1
    with pytest.raises(UnicodeEncodeError):
        one.options(name="\ud800").remote()
    with pytest.raises(UnicodeEncodeError):
        Actor.options(name="\ud800").remote()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_exception_groups():
    @ray.remote
    def several():
        raise builtins.ExceptionGroup("both", [ValueError("v"), TypeError("t")])

    with pytest.raises(builtins.ExceptionGroup) as caught:
        ray.get(several.remote())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)
    assert [type(each) for each in caught.value.exceptions] == [ValueError, TypeError]
    matching, rest = caught.value.split(ValueError)
    assert [str(each) for each in matching.exceptions] == ["v"]
    assert [str(each) for each in rest.exceptions] == ["t"]


@only_eagleray
def test_an_exception_that_cannot_be_pickled_keeps_its_text():
    class Holding(Exception):
        def __init__(self):
            super().__init__("holds a lock")
            self.lock = threading.Lock()

    class Demanding(Exception):
        def __init__(self, first, second):
            super().__init__("wants two")

    @ray.remote
    def fail(which):
        raise Holding() if which == 0 else Demanding(1, 2)

    for which, text in enumerate(["holds a lock", "wants two"]):
        with pytest.raises(ray.exceptions.UnserializableException) as caught:
            ray.get(fail.remote(which))
        assert text in "".join(traceback.format_exception(caught.value))


# ---- dead handles, placement groups, other sessions ----


def test_a_dead_actor():
    actor = Actor.remote()
    ray.get(actor.one.remote())
    ray.kill(actor)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get([actor.one.remote() for _ in range(100)], timeout=60)
    ray.kill(actor)
    assert ray.get(one.remote(actor)) == 1


def test_placement_groups():
    for bundles in ([], 5, [{}], [{"CPU": 0}], [{"CPU": "x"}]):
        with pytest.raises(ValueError):
            ray.util.placement_group(bundles)
    for options in ({"strategy": "X"}, {"lifetime": "forever"}):
        with pytest.raises(ValueError):
            ray.util.placement_group([{"CPU": 1}], **options)
    with pytest.raises((TypeError, AttributeError)):
        ray.util.remove_placement_group(5)
    with pytest.raises(ValueError):
        ray.util.get_placement_group("none such")


@only_eagleray
def test_another_session_s_references_are_refused():
    printed, _ = run_program(
        """
import pickle, eagleray as ray

@ray.remote
def one(*args):
    return 1

@ray.remote
def numbers():
    yield 1

@ray.remote
class Actor:
    def one(self):
        return 1

ray.init(num_cpus=1)
ref, task, generator, actor = ray.put([1]), one.remote(), numbers.remote(), Actor.remote()
method = actor.one
ray.get([task, actor.one.remote()])
ray.shutdown()
ray.init(num_cpus=1)
tried = [
    lambda: ray.get(ref), lambda: ray.get(task), lambda: ray.wait([ref]), lambda: ray.cancel(task),
    lambda: one.remote(ref), lambda: one.remote([ref]), lambda: ray.put([ref]), lambda: ref.future(),
    lambda: pickle.dumps(ref), lambda: ref.ready(), lambda: next(generator), lambda: ray.wait([generator]),
    lambda: actor.one.remote(), lambda: method.remote(), lambda: one.remote(actor),
]
for number, each in enumerate(tried):
    try:
        each()
        print("no error", number)
    except ConnectionError as error:
        assert "session" in str(error) or "shut down" in str(error), error
assert ref == ref and repr(ref) and hash(ref) and ref.hex()
del tried, each, ref, task, generator, actor, method
assert ray.get(one.remote()) == 1
ray.shutdown()
print("done")
"""
    )
    assert printed == "done\n"


@only_eagleray
def test_a_dashboard_that_is_asked_for_is_not_missed_in_silence():
    """The program goes on: it computes the same without."""
    _, said = run_program(
        """
import eagleray as ray

ray.init(num_cpus=1, include_dashboard=True, dashboard_host="0.0.0.0", dashboard_port=8265)
assert ray.get(ray.remote(lambda: 1).remote()) == 1
"""
    )
    assert said.count("no dashboard yet") == 1


@only_eagleray
def test_arguments_of_init():
    printed, _ = run_program(
        """
import eagleray as ray

for arguments, error in [
    ({"num_cpus": "x"}, TypeError), ({"num_cpus": -1}, ValueError), ({"num_cpus": float("inf")}, ValueError),
    ({"num_gpus": []}, TypeError), ({"resources": [1]}, TypeError), ({"resources": {"x": "y"}}, TypeError),
    ({"resources": {"CPU": 1}}, ValueError), ({"resources": {"x": -1}}, ValueError),
    ({"labels": {"a": 5}}, TypeError), ({"object_store_memory": "1"}, TypeError),
    ({"object_store_memory": 5}, ValueError), ({"namespace": ""}, ValueError), ({"namespace": 5}, TypeError),
    ({"namespace": "\\ud800"}, UnicodeEncodeError), ({"runtime_env": 5}, TypeError),
    ({"runtime_env": {"pip": 3}}, TypeError), ({"address": 5}, TypeError), ({"bogus": 1}, RuntimeError),
    ({"address": "auto"}, ConnectionError), ({"logging_level": "loud"}, ValueError),
    ({"_temp_dir": 5}, TypeError), ({"_system_config": 5}, TypeError),
    ({"_node_name": "x"}, NotImplementedError), ({"system_reserved_cpu": 1}, NotImplementedError),
]:
    try:
        ray.init(**arguments)
        print("no error", arguments)
        ray.shutdown()
    except error:
        pass
    assert not ray.is_initialized(), arguments
ray.init(num_cpus=1)
assert ray.get(ray.remote(lambda: 1).remote()) == 1
print("done")
"""
    )
    assert printed == "done\n"
