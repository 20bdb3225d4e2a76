"""Compiled graphs: what they compute, what they refuse, and what becomes of them when something ends.

On Ray (EAGLERAY_TEST_PEER=ray) give it time on a busy machine: RAY_CGRAPH_get_timeout=90.
"""

import asyncio
import copy
import importlib
import os
import pickle
import signal
import threading
import time
from pathlib import Path

import pytest
from _support import PEER, alive, ray, run_program, start_program, wait_for

np = pytest.importorskip("numpy")
dag = importlib.import_module(f"{ray.__name__}.dag")
exceptions = importlib.import_module(f"{ray.__name__}.exceptions")
InputNode, MultiOutputNode = dag.InputNode, dag.MultiOutputNode
only_eagleray = pytest.mark.only_eagleray
pytestmark = pytest.mark.usefixtures("cluster")


def refuse(which):
    raise ValueError(f"{which} is not to be had")


class Sour:
    """Pickles, and does not unpickle."""

    def __init__(self, which):
        self.which = which

    def __reduce__(self):
        return (refuse, (self.which,))


@ray.remote(num_cpus=0)
class Worker:
    def __init__(self):
        self.total = 0
        self.kept = []

    def echo(self, value):
        return value

    def inc(self, value):
        self.total += value
        return self.total

    def add(self, one, two, three=0):
        return one + two + three

    def fail(self, value):
        raise ValueError(f"bad {value}")

    @ray.method(num_returns=2)
    def both(self, value):
        return value, value + 1

    def three(self, value):
        return [value] * 3

    def wait_for(self, path):
        wait_for(Path(path).exists, 60)
        return path

    def end(self, value):
        os._exit(1)

    def leave(self, value):
        ray.actor.exit_actor()

    def keep(self, value):
        self.kept.append(value)
        return len(self.kept)

    def sums(self):
        return [float(each.sum()) for each in self.kept]

    def writeable(self, value):
        return value.flags.writeable

    def lock(self, value):
        return threading.Lock()

    def sour(self, which):
        return Sour(which) if which == "b" else which

    def channels(self):
        """Of compiled graphs, in this process."""
        found = 0
        for fd in os.listdir("/proc/self/fd"):
            try:
                found += "eagleray-channel" in os.readlink(f"/proc/self/fd/{fd}")
            except OSError:
                pass
        return found

    def pid(self):
        return os.getpid()

    def threads(self):
        return [each.name for each in threading.enumerate()]


@ray.remote(num_cpus=0)
class Async:
    async def later(self, value):
        return value

    async def ordinary(self):
        return "ordinary"

    def echo(self, value):
        return value

    def leave(self, value):
        ray.actor.exit_actor()


@pytest.fixture
def workers():
    made = [Worker.remote() for _ in range(3)]
    ray.get([each.pid.remote() for each in made])
    yield made
    for each in made:
        ray.kill(each)


@pytest.fixture
def compiled():
    """Compiles; what it gave is torn down after the test."""
    made = []

    def compile_it(node, **options):
        made.append(node.experimental_compile(**options))
        return made[-1]

    yield compile_it
    for each in made:
        each.teardown()


def chain(*actors):
    with InputNode() as inp:
        node = inp
        for actor in actors:
            node = actor.echo.bind(node)
    return node


VALUES = [None, True, 1, 1 << 80, 2.5, "text", b"bytes", (1, [2], {"k": 3}), "x" * 3_000_000]


def test_values_go_round(workers, compiled):
    graph = compiled(chain(*workers))
    for value in VALUES:
        assert ray.get(graph.execute(value)) == value


def test_arrays_go_round_and_are_read_only(workers, compiled):
    with InputNode() as inp:
        graph = compiled(
            MultiOutputNode([workers[0].echo.bind(inp), workers[1].writeable.bind(inp)])
        )
    for shape in [(3,), (1000,), (300, 400), (2, 3_000_000)]:
        array = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
        back, writeable = ray.get(graph.execute(array))
        assert np.array_equal(back, array)
        assert not back.flags.writeable
        assert not writeable
        del back


@only_eagleray
def test_a_result_that_is_kept_stays_as_it_was(workers, compiled):
    graph = compiled(chain(*workers[:2]), _max_inflight_executions=2)
    kept = [ray.get(graph.execute(np.full(50_000 + i, i))) for i in range(30)]
    assert [len(each) for each in kept] == [50_000 + i for i in range(30)]
    assert all((each == i).all() for i, each in enumerate(kept))


@only_eagleray
def test_an_actor_may_keep_what_it_was_given(workers, compiled):
    with InputNode() as inp:
        graph = compiled(workers[0].keep.bind(inp), _max_inflight_executions=2)
    for i in range(20):
        assert ray.get(graph.execute(np.full(100_000, float(i)))) == i + 1
    assert ray.get(workers[0].sums.remote()) == [100_000.0 * i for i in range(20)]


def test_parts_of_the_input_and_constants(workers, compiled):
    with InputNode() as inp:
        node = workers[1].add.bind(workers[0].add.bind(inp[0], 10), inp.x, three=100)
    graph = compiled(node)
    assert ray.get(graph.execute(1, x=2)) == 113
    with pytest.raises(ValueError, match="must be called with kwarg `x`"):
        graph.execute(1)
    with pytest.raises(ValueError, match="must be called with 1 positional args, got 2"):
        graph.execute(1, 2, x=3)
    assert ray.get(graph.execute(1, x=3)) == 114


def test_one_value_for_many(workers, compiled):
    with InputNode() as inp:
        first = workers[0].inc.bind(inp)
        graph = compiled(MultiOutputNode([each.echo.bind(first) for each in workers]))
    assert ray.get(graph.execute(2)) == [2, 2, 2]
    assert ray.get(graph.execute(3)) == [5, 5, 5]


def test_methods_of_one_actor_hand_on_in_the_process(workers, compiled):
    with InputNode() as inp:
        node = workers[0].inc.bind(inp)
        node = workers[0].inc.bind(node)
        graph = compiled(workers[0].add.bind(node, node))
    assert ray.get(graph.execute(4)) == 16


def test_there_and_back_again(workers, compiled):
    one, two, _ = workers
    with InputNode() as inp:
        node = one.inc.bind(inp)
        for _ in range(3):
            node = one.echo.bind(two.echo.bind(node))
    graph = compiled(node)
    assert [ray.get(graph.execute(1)) for _ in range(3)] == [1, 2, 3]


def test_a_method_with_several_values(workers, compiled):
    with InputNode() as inp:
        one, two = workers[0].both.bind(inp)
        graph = compiled(MultiOutputNode([two, workers[1].echo.bind(one)]))
    assert ray.get(graph.execute(4)) == [5, 4]


@only_eagleray
def test_too_few_values_are_an_error(workers, compiled):
    with InputNode() as inp:
        one, two = workers[0].three.options(num_returns=2).bind(inp)
        graph = compiled(MultiOutputNode([one, two]))
    with pytest.raises(ValueError, match="was to return 2 values"):
        ray.get(graph.execute(1)[0])


def test_many_in_flight_come_in_order(workers, compiled):
    graph = compiled(chain(*workers), _max_inflight_executions=5)
    for start in range(0, 50, 5):
        refs = [graph.execute(start + i) for i in range(5)]
        assert ray.get(refs) == list(range(start, start + 5))


def test_results_may_be_taken_in_any_order(workers, compiled):
    graph = compiled(chain(workers[0]))
    refs = [graph.execute(i) for i in range(5)]
    assert [ray.get(refs[i]) for i in (3, 0, 4, 1, 2)] == [3, 0, 4, 1, 2]


def test_a_result_is_taken_once(workers, compiled):
    graph = compiled(chain(workers[0]))
    ref = graph.execute(1)
    assert ray.get(ref) == 1
    with pytest.raises(ValueError, match="only be called once"):
        ray.get(ref)
    ref = graph.execute(2)
    for make in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(ValueError, match="cannot be"):
            make(ref)
    with pytest.raises(TypeError):
        ray.wait([ref])
    assert ref.get() == 2


def test_too_many_in_flight_are_refused(workers, compiled):
    graph = compiled(chain(workers[0]), _max_inflight_executions=2)
    refs = [graph.execute(i) for i in range(2)]
    with pytest.raises(exceptions.RayCgraphCapacityExceeded, match="more than 2 in-flight"):
        graph.execute(2)
    assert ray.get(refs) == [0, 1]
    assert ray.get(graph.execute(3)) == 3


def test_too_many_buffered_results_are_refused(workers, compiled):
    graph = compiled(chain(workers[0]), _max_buffered_results=1)
    refs = [graph.execute(i) for i in range(3)]
    with pytest.raises(exceptions.RayCgraphCapacityExceeded, match="more than 1 buffered"):
        ray.get(refs[2])


def test_results_that_nobody_can_take_make_room(workers, compiled):
    graph = compiled(chain(workers[0]), _max_inflight_executions=2)
    for i in range(10):
        graph.execute(i)
    assert ray.get(graph.execute(11)) == 11
    with InputNode() as inp:
        node = MultiOutputNode([workers[1].echo.bind(inp), workers[2].echo.bind(inp)])
    graph = compiled(node, _max_inflight_executions=2)
    for i in range(10):
        one, _ = graph.execute(i)
        assert ray.get(one) == i
    del one, _
    assert ray.get(graph.execute(12)) == [12, 12]


def test_an_error_is_raised_and_the_graph_goes_on(workers, compiled):
    with InputNode() as inp:
        graph = compiled(workers[1].echo.bind(workers[0].fail.bind(inp)))
    for i in range(3):
        with pytest.raises(ValueError, match=f"bad {i}") as caught:
            ray.get(graph.execute(i))
        assert isinstance(caught.value, exceptions.RayTaskError)
    assert ray.get(workers[0].echo.remote(1)) == 1


@only_eagleray
def test_an_error_is_that_of_its_output_alone(workers, compiled):
    with InputNode() as inp:
        node = MultiOutputNode([workers[0].echo.bind(inp), workers[1].fail.bind(inp)])
    good, bad = compiled(node).execute(1)
    assert ray.get(good) == 1
    with pytest.raises(ValueError, match="bad 1"):
        ray.get(bad)


@only_eagleray  # Ray: the graph is closed
def test_what_does_not_pickle_is_an_error(workers, compiled):
    with InputNode() as inp:
        graph = compiled(workers[1].echo.bind(workers[0].lock.bind(inp)))
    with pytest.raises(TypeError, match="pickle"):
        ray.get(graph.execute(1))
    with pytest.raises(TypeError, match="pickle"):
        graph.execute(threading.Lock())
    with pytest.raises(TypeError, match="pickle"):
        ray.get(graph.execute(1))


def test_a_reference_to_a_result_is_no_value(workers, compiled):
    with InputNode() as inp:
        ref = compiled(workers[0].echo.bind(inp)).execute(1)
    for use in (workers[1].echo.remote, ray.put, lambda ref: ray.put([ref])):
        with pytest.raises(TypeError, match="CompiledDAGRef"):
            use(ref)
    with pytest.raises(ValueError, match="cannot be pickled"):
        pickle.dumps(ref)
    assert ray.get(ref) == 1


@only_eagleray
def test_a_result_that_does_not_unpickle_is_an_error_of_its_own(workers, compiled):
    """Those after it keep their places."""
    with InputNode() as inp:
        one = compiled(workers[0].sour.bind(inp))
    with InputNode() as inp:
        two = compiled(MultiOutputNode([workers[0].sour.bind(inp), workers[1].echo.bind(inp)]))
    refs = [one.execute(each) for each in "abc"]
    assert ray.get(refs[0]) == "a"
    with pytest.raises(ValueError, match="b is not to be had"):
        ray.get(refs[1])
    assert ray.get(refs[2]) == "c"
    refs = [two.execute(each) for each in "abc"]
    assert ray.get(refs[0]) == ["a", "a"]
    with pytest.raises(ValueError, match="b is not to be had"):
        ray.get(refs[1][0])
    assert ray.get(refs[1][1]) == "b" and ray.get(refs[2]) == ["c", "c"]


@only_eagleray
def test_an_argument_that_does_not_unpickle_is_an_error_of_its_own(workers, compiled):
    graph = compiled(chain(*workers[:2]))
    refs = [graph.execute(each) for each in ("a", Sour("b"), "c")]
    assert ray.get(refs[0]) == "a"
    with pytest.raises(ValueError, match="b is not to be had"):
        ray.get(refs[1])
    assert ray.get(refs[2]) == "c"


@only_eagleray
def test_a_future_that_does_not_unpickle_is_an_error_of_its_own(workers, compiled):
    with InputNode() as inp:
        node = MultiOutputNode([workers[0].sour.bind(inp), workers[1].echo.bind(inp)])
    graph = compiled(node, enable_asyncio=True)

    async def run():
        futures = [await graph.execute_async(each) for each in "abc"]
        pairs = [await asyncio.gather(*each, return_exceptions=True) for each in futures]
        return [str(each).splitlines()[-1] for pair in pairs for each in pair]

    found = asyncio.run(run())
    assert found == ["a", "a", "ValueError: b is not to be had", "b", "c", "c"]


def test_a_wait_has_an_end(workers, compiled, tmp_path):
    flag = tmp_path / "go"
    with InputNode() as inp:
        graph = compiled(workers[0].wait_for.bind(inp), _max_inflight_executions=3)
    ref = graph.execute(str(flag))
    for timeout in (0, 0.05):
        with pytest.raises(exceptions.RayChannelTimeoutError):
            graph.execute(str(flag)).get(timeout=timeout)
    flag.touch()
    if not PEER:  # there its result is lost with the first of them
        assert ray.get(ref, timeout=60) == str(flag)


def test_ordinary_calls_go_on_beside_it(workers, compiled, tmp_path):
    flag = tmp_path / "go"
    with InputNode() as inp:
        graph = compiled(workers[0].wait_for.bind(inp))
    ref = graph.execute(str(flag))
    assert ray.get(workers[0].echo.remote(5), timeout=60) == 5
    flag.touch()
    assert ray.get(ref) == str(flag)


def test_after_teardown_the_actors_are_as_before(workers):
    graph = chain(*workers[:2]).experimental_compile()
    assert ray.get(graph.execute(1)) == 1
    graph.teardown()
    graph.teardown()
    with pytest.raises(exceptions.RayChannelError, match="Channel closed"):
        graph.execute(1)
    assert ray.get(workers[0].echo.remote(2)) == 2
    if not PEER:
        names = ray.get(workers[0].threads.remote())
        assert not [name for name in names if name.startswith("compiled-graph")]
    again = chain(*workers[:2]).experimental_compile()
    assert ray.get(again.execute(3)) == 3
    again.teardown()


@only_eagleray  # Ray: the second waits for ever
def test_two_graphs_share_actors(workers, compiled):
    one, two = compiled(chain(*workers[:2])), compiled(chain(*reversed(workers[:2])))
    for i in range(5):
        assert (ray.get(one.execute(i)), ray.get(two.execute(-i))) == (i, -i)


def test_an_actor_that_ends_is_said(workers):
    one, two, _ = workers
    with InputNode() as inp:
        graph = two.echo.bind(one.end.bind(inp)).experimental_compile()
    with pytest.raises(exceptions.ActorDiedError):
        ray.get(graph.execute(1))
    with pytest.raises(exceptions.RayChannelError):
        graph.execute(2)
    graph.teardown()
    assert ray.get(two.echo.remote(4)) == 4


def test_an_actor_that_is_killed_is_said(workers):
    one, two, _ = workers
    graph = chain(one, two).experimental_compile()
    assert ray.get(graph.execute(1)) == 1
    ray.kill(one)

    def closed():
        try:
            ray.get(graph.execute(2))
        except (exceptions.RayChannelError, exceptions.ActorDiedError):
            return True
        return False

    wait_for(closed)
    graph.teardown()
    assert ray.get(two.echo.remote(4)) == 4


@only_eagleray
@pytest.mark.parametrize("kind", [Worker, Async])
def test_a_method_may_end_its_actor(kind):
    actor = kind.remote()
    with InputNode() as inp:
        graph = actor.leave.bind(inp).experimental_compile()
    with pytest.raises(exceptions.ActorDiedError):
        ray.get(graph.execute(1), timeout=60)
    graph.teardown()


@only_eagleray
def test_teardown_can_end_the_actors(workers):
    pid = ray.get(workers[0].pid.remote())
    chain(workers[0]).experimental_compile().teardown(kill_actors=True)
    wait_for(lambda: not alive(pid))


REFUSED = [
    (lambda w, i, f: f.bind(i), NotImplementedError, "only support actor method nodes"),
    (lambda w, i, f: f.bind(1), ValueError, "No InputNode found"),
    (lambda w, i, f: Worker.bind().echo.bind(i), ValueError, "already created"),
    (lambda w, i, f: w.add.bind(1, two=i), ValueError, "as kwargs"),
    (lambda w, i, f: w.echo.bind([i]), ValueError, "inside any type of container"),
    (lambda w, i, f: w.add.bind(i, i[0]), ValueError, "directly, or they must index"),
    (lambda w, i, f: (i.x, w.echo.bind(i[0]))[1], ValueError, "x is unused"),
    (lambda w, i, f: (w.inc.bind(i), w.echo.bind(i))[1], ValueError, "leaf nodes"),
    (
        lambda w, i, f: MultiOutputNode([w.echo.bind(i), w.echo.bind(1)]),
        ValueError,
        "at least one other DAGNode",
    ),
    (lambda w, i, f: MultiOutputNode([i]), (ValueError, AssertionError), None),
]


@pytest.mark.parametrize(("make", "kind", "words"), REFUSED, ids=[str(each[2]) for each in REFUSED])
def test_graphs_that_cannot_be_compiled(workers, make, kind, words):
    function = ray.remote(lambda x: x)
    with InputNode() as inp:
        node = make(workers[0], inp, function)
    with pytest.raises(kind, match=words):
        node.experimental_compile()


def test_options_that_cannot_be_meant(workers):
    for options, words in [
        ({"_buffer_size_bytes": 0}, "positive integer"),
        ({"_default_communicator": "x"}, "only allowed string"),
        ({"_default_communicator": 5}, "must be None, a string"),
    ]:
        with pytest.raises(ValueError, match=words):
            chain(workers[0]).experimental_compile(**options)


def test_a_graph_is_compiled_once(workers, compiled):
    node = chain(workers[0])
    compiled(node)
    with pytest.raises(ValueError, match="multiple times"):
        node.experimental_compile()


@only_eagleray
def test_what_is_not_built_is_named(workers):
    with pytest.raises(NotImplementedError, match="accelerators"):
        chain(workers[0]).with_tensor_transport("nccl").experimental_compile()
    actor = Async.remote()
    with pytest.raises(NotImplementedError, match="async method"), InputNode() as inp:
        actor.later.bind(inp).experimental_compile()
    with pytest.raises(ValueError, match="Invalid transport type"):
        chain(workers[0]).with_tensor_transport("pigeon")


def test_a_picture_in_text(workers, compiled):
    text = compiled(chain(*workers[:2])).visualize(format="ascii")
    assert "Method: echo" in text
    assert "1 ---> 2" in text


def test_asyncio(workers, compiled):
    graph = compiled(chain(*workers[:2]), enable_asyncio=True)
    with pytest.raises(ValueError, match="Use execute_async"):
        graph.execute(1)

    async def main():
        future = await graph.execute_async(3)
        assert await future == 3
        with pytest.raises(ValueError, match="only be awaited upon once"):
            await future
        futures = [await graph.execute_async(i) for i in range(8)]
        return await asyncio.gather(*futures)

    assert asyncio.run(main()) == list(range(8))


def test_asyncio_with_several_outputs_and_errors(workers, compiled):
    with InputNode() as inp:
        node = MultiOutputNode([workers[0].echo.bind(inp), workers[1].echo.bind(inp)])
        graph = compiled(node, enable_asyncio=True)
    with InputNode() as inp:
        failing = compiled(workers[2].fail.bind(inp), enable_asyncio=True)

    async def main():
        one, two = await graph.execute_async(3)
        assert [await one, await two] == [3, 3]
        with pytest.raises(ValueError, match="bad 4"):
            await (await failing.execute_async(4))

    asyncio.run(main())


def test_async_and_threaded_actors(compiled):
    @ray.remote(num_cpus=0, max_concurrency=3)
    class Threaded:
        def echo(self, value):
            return value

    one, two = Async.remote(), Threaded.remote()
    graph = compiled(chain(one, two))
    assert ray.get(graph.execute(5)) == 5
    assert ray.get(one.ordinary.remote()) == "ordinary"


def test_a_graph_in_an_actor(workers):
    @ray.remote(num_cpus=0)
    class Driver:
        def run(self, inner):
            with InputNode() as inp:
                node = inner.inc.bind(inp)
            graph = node.experimental_compile()
            values = [ray.get(graph.execute(1)) for _ in range(3)]
            graph.teardown()
            return values

    driver = Driver.remote()
    assert ray.get(driver.run.remote(workers[0])) == [1, 2, 3]


@ray.remote(num_cpus=0)
class Compiler:
    def compile(self, inner):
        with InputNode() as inp:
            self.graph = inner.echo.bind(inp).experimental_compile()
        return ray.get(self.graph.execute(1))

    def execute(self):
        self.ref = self.graph.execute(2)

    def leave(self):
        ray.actor.exit_actor()


@only_eagleray
@pytest.mark.parametrize("how", ["kill", "exit"])
def test_nothing_goes_on_without_the_process_that_compiled(workers, how):
    compiler = Compiler.remote()
    assert ray.get(compiler.compile.remote(workers[0])) == 1

    def loops():
        names = ray.get(workers[0].threads.remote())
        return [each for each in names if each.startswith("compiled-graph")]

    ray.get(compiler.execute.remote())
    assert loops()
    if how == "kill":
        ray.kill(compiler)
    else:
        compiler.leave.remote()
    wait_for(lambda: not loops())
    assert ray.get(workers[0].echo.remote(3)) == 3
    wait_for(lambda: ray.get(workers[0].channels.remote()) == 0)  # nor the memory of its channels


@only_eagleray
def test_a_program_that_ends_with_its_graph_leaves_nothing():
    out, err = run_program(
        """
        import os
        import eagleray as ray
        from eagleray.dag import InputNode
        ray.init(num_cpus=2)
        @ray.remote
        class A:
            def pid(self, _):
                return os.getpid()
        one = A.remote()
        with InputNode() as inp:
            graph = one.pid.bind(inp).experimental_compile()
        print(ray.get(graph.execute(1)))
        kept = graph.execute(2)
        """
    )
    assert "Traceback" not in err
    wait_for(lambda: not alive(int(out)))
    assert not [name for name in os.listdir("/dev/shm") if "eagleray" in name]


@only_eagleray
@pytest.mark.parametrize("busy", [True, False])
def test_a_killed_program_leaves_nothing(busy, tmp_path):
    """Its actors sleep in a channel, or run a method."""
    program = start_program(
        """
        import os, sys, threading
        import eagleray as ray
        from eagleray.dag import InputNode
        ray.init(num_cpus=2)
        @ray.remote
        class A:
            def pid(self):
                return os.getpid()
            def run(self, busy):
                threading.Event().wait(60 if busy else 0)
                return busy
        actors = [A.remote() for _ in range(2)]
        with InputNode() as inp:
            node = inp
            for each in actors:
                node = each.run.bind(node)
        graph = node.experimental_compile()
        print(*ray.get([each.pid.remote() for each in actors]))
        graph.execute(int(sys.argv[1]))
        print("started", flush=True)
        threading.Event().wait(60)
        """,
        int(busy),
    )
    pids = [int(each) for each in program.stdout.readline().split()]
    assert program.stdout.readline() == "started\n"
    program.kill()
    program.wait()
    wait_for(lambda: not any(alive(pid) for pid in pids))
    assert not [name for name in os.listdir("/dev/shm") if "eagleray" in name]


@only_eagleray
def test_room_is_waited_for_no_longer_than_asked(workers, compiled, tmp_path):
    """The input's readers make no room: more is in flight than the channel holds."""
    flag = tmp_path / "go"
    with InputNode() as inp:
        node = workers[0].wait_for.bind(inp)
        graph = compiled(node, _submit_timeout=0.05, _max_inflight_executions=2)
    graph._max_inflight = 100
    refs = []

    def fill():
        for _ in range(100):
            refs.append(graph.execute(str(flag)))

    with pytest.raises(exceptions.RayChannelTimeoutError, match="RAY_CGRAPH_submit_timeout"):
        fill()
    flag.touch()
    assert ray.get(refs) == [str(flag)] * len(refs)


@only_eagleray
def test_many_actors_and_a_wide_graph(compiled):
    actors = [Worker.remote() for _ in range(6)]
    with InputNode() as inp:
        firsts = [each.echo.bind(inp) for each in actors]
        sums = [
            actors[i].add.bind(firsts[i], firsts[(i + 1) % len(actors)]) for i in range(len(actors))
        ]
        graph = compiled(MultiOutputNode(sums))
    for i in range(20):
        assert ray.get(graph.execute(i)) == [2 * i] * 6


@only_eagleray
def test_ctrl_c_ends_a_wait(tmp_path):
    program = start_program(
        """
        import sys, time
        import eagleray as ray
        from eagleray.dag import InputNode
        ray.init(num_cpus=2)
        @ray.remote
        class A:
            def wait(self, path):
                import os, threading
                while not os.path.exists(path):
                    threading.Event().wait(0.01)
                return path
        one = A.remote()
        with InputNode() as inp:
            graph = one.wait.bind(inp).experimental_compile()
        ref = graph.execute(sys.argv[1])
        try:
            print("waits", flush=True)
            ray.get(ref, timeout=-1)
        except KeyboardInterrupt:
            open(sys.argv[1], "w").close()
            print(ray.get(ref) == sys.argv[1], flush=True)
        """,
        tmp_path / "go",
    )
    assert program.stdout.readline() == "waits\n"
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert out == "True\n", err


@only_eagleray
def test_an_idle_graph_uses_no_processor(workers, compiled):
    graph = compiled(chain(*workers))
    assert ray.get(graph.execute(1)) == 1
    pids = ray.get([each.pid.remote() for each in workers])

    def ticks():
        used = []
        for pid in pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            used.append(int(fields[11]) + int(fields[12]))
        return sum(used)

    def is_quiet():
        begin, end = ticks(), time.monotonic() + 1
        wait_for(lambda: time.monotonic() > end)
        return ticks() - begin <= 3  # hundredths of a second, of three actors

    wait_for(is_quiet)  # what came before may still be tidied up


@only_eagleray
def test_another_thread_may_take_results(workers, compiled):
    graph = compiled(chain(*workers), _max_inflight_executions=4)
    refs, got = [], []

    def take():
        while len(got) < 100:
            if refs:
                got.append(refs.pop(0).get())

    thread = threading.Thread(target=take)
    thread.start()
    for i in range(100):
        wait_for(lambda i=i: len(got) > i - 4)
        refs.append(graph.execute(i))
    thread.join()
    assert got == list(range(100))


@pytest.mark.only_eagleray
def test_a_forgotten_process_s_number_is_not_taken_for_another_s_end():
    """Descriptors are used again at once, while the watching thread still asks about the one before."""
    import subprocess

    from eagleray.dag import _watch

    process = subprocess.Popen(["sleep", "60"])
    try:
        ended = []
        for _ in range(20_000):
            _watch.forget(_watch.watch(process.pid, lambda: ended.append(True)))
        assert not ended
    finally:
        process.kill()
        process.wait()
