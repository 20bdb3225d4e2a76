"""What channels and compiled graphs hold, and what is left when an end of one, or all of a graph, has ended."""

import gc
import importlib
import os
import signal
import sys

import pytest
from _support import PEER, alive, ray, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="what our channels hold")
channel = importlib.import_module(f"{ray.__name__}.experimental.channel")
exceptions = importlib.import_module(f"{ray.__name__}.exceptions")
dag = importlib.import_module(f"{ray.__name__}.dag")
MB = 1 << 20
NODE = None


@ray.remote(num_cpus=0)
class End:
    def pid(self):
        return os.getpid()

    def make(self, other):
        self.channel = channel.Channel(other, [(ray.get_runtime_context().current_actor, NODE)])
        return [self.channel]

    def read(self, source, timeout=None):
        return source.read(timeout)

    def write(self, target, *values):
        for value in values:
            target.write(value)
        return len(values)

    def keep(self, target):
        self.kept = target

    def grow(self, size):
        try:
            self.kept.write(bytes(size))
        except ray.exceptions.ObjectStoreFullError as error:
            return str(error)

    def echo(self, value):
        return value

    def wide(self, value):
        return bytes(value)

    def bad(self, value):
        raise ValueError(f"bad {value}")

    def stay(self, value):
        import threading

        threading.Event().wait()

    def descriptors(self):
        return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def small_store():
    ray.init(num_cpus=2, object_store_memory=80 * MB, _system_config={"store_full_wait_ms": 300})
    yield
    ray.shutdown()


# ---- the store ----


def test_a_channel_is_a_part_of_the_store(small_store):
    readers = [(End.remote(), NODE)]
    made = [channel.Channel(None, readers, 20 * MB) for _ in range(3)]
    with pytest.raises(exceptions.ObjectStoreFullError, match="the driver, pid"):
        channel.Channel(None, readers, 20 * MB)
    with pytest.raises(exceptions.ObjectStoreFullError):
        ray.put(bytes(30 * MB))
    made.pop()
    made.append(channel.Channel(None, readers, 18 * MB))
    del made
    assert len(ray.get(ray.put(bytes(60 * MB)))) == 60 * MB


def test_what_a_channel_grows_by_is_too(small_store):
    end = End.remote()
    source = channel.Channel(end, [(None, NODE)], 1000)
    ray.get(end.keep.remote(source))
    done = end.grow.remote(30 * MB)
    assert len(source.read()) == 30 * MB
    assert ray.get(done) is None
    with pytest.raises(exceptions.ObjectStoreFullError, match="actor End"):
        ray.put(bytes(60 * MB))
    assert "whole store" in ray.get(end.grow.remote(120 * MB))
    done = end.grow.remote(5)  # and goes on afterwards
    assert source.read() == bytes(5)
    ray.get(done)


def test_a_graph_that_has_no_room_is_refused(small_store):
    end = End.remote()

    def compiled(size):
        with dag.InputNode() as inp:
            return end.wide.bind(inp).experimental_compile(
                _buffer_size_bytes=size, _max_inflight_executions=2
            )

    with pytest.raises(exceptions.ObjectStoreFullError):
        compiled(20 * MB)
    gc.collect()
    graph = compiled(MB)
    with pytest.raises(exceptions.ObjectStoreFullError):
        ray.get(graph.execute(75 * MB))
    assert len(ray.get(graph.execute(3))) == 3
    graph.teardown()


def test_memory_of_the_store_is_not_held_twice(small_store):
    """What puts have touched is given back to the machine when a channel claims it."""
    ray.put(bytes(60 * MB))

    def shared():
        with open("/proc/self/status") as file:
            return int(next(line for line in file if line.startswith("RssShmem")).split()[1])

    before = shared()
    assert before > 50_000
    target = channel.Channel(None, [(End.remote(), NODE)], 60 * MB)
    assert shared() < before - 50_000
    del target
    assert len(ray.get(ray.put(bytes(60 * MB)))) == 60 * MB


# ---- ends ----


@pytest.fixture
def ends(cluster):
    made = [End.remote() for _ in range(2)]
    ray.get([each.pid.remote() for each in made])
    return made


def test_a_reader_does_not_wait_for_a_writer_that_has_ended(ends):
    one, two = ends
    source = channel.BufferedSharedMemoryChannel(one, [(two, NODE), (None, NODE)], 4)
    assert ray.get(one.write.remote(source, 1, 2)) == 2
    assert source.read() == 1
    waiting = two.read.remote(source)
    assert ray.get(waiting) == 1
    assert ray.get(two.read.remote(source)) == 2
    waiting = two.read.remote(source)
    ray.kill(one)
    with pytest.raises(exceptions.RayChannelError, match="has ended"):
        ray.get(waiting)
    assert source.read() == 2  # what was written is there
    with pytest.raises(exceptions.RayChannelError):
        source.read()


def test_a_writer_does_not_wait_for_a_reader_that_has_ended(ends):
    target = channel.Channel(None, [(end, NODE) for end in ends])
    reads = [end.read.remote(target) for end in ends]
    target.write(1)
    assert ray.get(reads) == [1, 1]
    ray.kill(ends[0])
    target.write(2)
    with pytest.raises(exceptions.RayChannelError, match="Actor.*has ended"):
        target.write(3, timeout=60)
    assert ray.get(ends[1].read.remote(target)) == 2


@pytest.mark.parametrize("side", ["reader", "writer"])
def test_one_that_ended_before_it_came_is_not_waited_for(ends, side):
    one, _ = ends
    ray.kill(one)
    if side == "writer":
        with pytest.raises(exceptions.RayChannelError, match="has ended"):
            channel.Channel(one, [(None, NODE)]).read()
        return
    target = channel.Channel(None, [(one, NODE)])
    target.write(1)
    with pytest.raises(exceptions.RayChannelError, match="has ended"):
        target.write(2)


def test_a_writer_that_opens_a_channel_again_finds_what_it_has_grown_to(ends):
    one, _ = ends
    source = channel.Channel(one, [(None, NODE)], 1000)

    def size():
        return os.stat(f"/proc/self/fd/{source._core.fd()}").st_size

    sizes = []
    for value in (bytes(MB), b"small", bytes(MB), bytes(MB)):
        done = one.write.remote(source, value)
        assert source.read() == value
        ray.get(done)
        sizes.append(size())
    assert sizes == [sizes[0]] * 4


def test_one_that_is_late_is_waited_for(ends):
    one, two = ends
    source = channel.Channel(one, [(two, NODE)])
    waiting = two.read.remote(source)
    assert ray.wait([waiting], timeout=1.5)[0] == []
    ray.get(one.write.remote(source, 7))
    assert ray.get(waiting) == 7


PROGRAM = """
import sys
import eagleray as ray
from eagleray.experimental.channel import Channel

ray.init("auto", namespace="ends")

@ray.remote(num_cpus=0, lifetime="detached", name="kept")
class Kept:
    def __init__(self):
        self.said = None
    def pid(self):
        import os
        return os.getpid()
    def start(self, channel):
        import threading
        def read():
            try:
                channel.read()
            except BaseException as error:
                self.said = repr(error)
        self.thread = threading.Thread(target=read, daemon=True)
        self.thread.start()
    def heard(self):
        self.thread.join(60)
        return self.said

kept = Kept.remote()
channel = Channel(None, [(kept, None)])
ray.get(kept.start.remote(channel))
print("started", flush=True)
sys.stdin.read()
"""


def test_an_actor_that_outlives_the_driver_is_told(tmp_path):
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory() as short:
        environment = {
            **os.environ,
            "EAGLERAY_TMPDIR": short,
            "PYTHONPATH": os.path.abspath("python"),
        }
        call = [sys.executable, "-m", "eagleray"]
        subprocess.check_call([*call, "start", "--head"], env=environment)
        try:
            program = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert program.stdout.readline() == "started\n"
            program.send_signal(signal.SIGKILL)
            program.communicate()
            asked = """
import eagleray as ray
ray.init("auto", namespace="ends")
kept = ray.get_actor("kept")
print(ray.get(kept.heard.remote()))
ray.kill(kept)
"""
            said = subprocess.check_output(
                [sys.executable, "-c", asked], env=environment, text=True, timeout=60
            )
            assert "RayChannelError" in said and "the driver" in said and "has ended" in said
        finally:
            subprocess.check_call([*call, "stop", "--force"], env=environment)


# ---- graphs ----


def test_a_hundred_graphs_leave_nothing(ends):
    one, two = ends
    files = set(os.listdir("/dev/shm"))

    def once(i):
        with dag.InputNode() as inp:
            graph = two.echo.bind(one.echo.bind(inp)).experimental_compile(
                _max_inflight_executions=2
            )
        assert ray.get(graph.execute(i)) == i
        graph.teardown()

    def descriptors():
        gc.collect()
        there = ray.get([one.descriptors.remote(), two.descriptors.remote()])
        return [len(os.listdir("/proc/self/fd")), *there]

    for i in range(3):
        once(i)
    before = descriptors()
    for i in range(100):
        once(i)
    wait_for(lambda: all(now <= then for now, then in zip(descriptors(), before, strict=True)))
    assert set(os.listdir("/dev/shm")) <= files


def test_an_error_in_the_middle_of_a_chain_is_that_of_its_execution(ends):
    one, two = ends
    with dag.InputNode() as inp:
        graph = one.echo.bind(two.bad.bind(one.echo.bind(inp))).experimental_compile()
    refs = [graph.execute(i) for i in range(5)]
    for i, ref in enumerate(refs):
        with pytest.raises(ValueError, match=f"bad {i}"):
            ray.get(ref)
    graph.teardown()
    assert ray.get(two.echo.remote(1)) == 1


def test_an_actor_that_is_killed_in_a_call_of_a_graph_leaves_nothing(ends):
    one, two = ends
    pid = ray.get(two.pid.remote())
    with dag.InputNode() as inp:
        first = one.echo.bind(inp).experimental_compile()
    assert ray.get(first.execute(1)) == 1
    first.teardown()
    del first
    before = ray.get(one.descriptors.remote())
    with dag.InputNode() as inp:
        graph = one.echo.bind(two.stay.bind(one.echo.bind(inp))).experimental_compile()
    ref = graph.execute(1)
    with pytest.raises(exceptions.RayChannelTimeoutError):
        ref.get(timeout=0.2)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(exceptions.ActorDiedError):
        ref.get(timeout=60)
    graph.teardown()
    wait_for(lambda: not alive(pid))
    del graph, ref
    assert ray.get(one.echo.remote(1)) == 1
    wait_for(lambda: gc.collect() >= 0 and ray.get(one.descriptors.remote()) <= before)


def test_an_actor_that_is_slow_to_start_again_is_said(cluster, monkeypatch, tmp_path):
    node = importlib.import_module("eagleray.dag.compiled_dag_node")
    monkeypatch.setattr(node, "RESTART_S", 0.3)
    gate = tmp_path / "gate"

    @ray.remote(num_cpus=0, max_restarts=1)
    class Slow:
        def __init__(self):
            if gate.with_name("again").exists():
                wait_for(gate.exists, 60)
            gate.with_name("again").write_text("")

        def pid(self):
            return os.getpid()

        def echo(self, value):
            return value

    slow = Slow.remote()
    pid = ray.get(slow.pid.remote())
    with dag.InputNode() as inp:
        graph = slow.echo.bind(inp).experimental_compile()
    assert ray.get(graph.execute(1)) == 1
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: graph._dead)
    try:
        graph.execute(1)
    except exceptions.RayChannelError:
        pass
    with pytest.raises(exceptions.RayChannelError, match="has not started again within"):
        graph._take(graph._executed, None, 10)
    gate.write_text("")
    assert ray.get(slow.echo.remote(2)) == 2
    graph.teardown()
