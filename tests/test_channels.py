"""ray.experimental.channel, and collective operations of compiled graphs, which go through channels."""

import importlib
import os

import pytest
from _support import PEER, ray

pytestmark = [
    pytest.mark.skipif(PEER, reason="Ray's take a node's id, and its collectives an accelerator"),
    pytest.mark.usefixtures("cluster"),
]
channel = importlib.import_module(f"{ray.__name__}.experimental.channel")
exceptions = importlib.import_module(f"{ray.__name__}.exceptions")
dag = importlib.import_module(f"{ray.__name__}.dag")
NODE = None


@ray.remote(num_cpus=0)
class Reader:
    def read(self, source, count=1):
        return [source.read(timeout=60) for _ in range(count)]

    def write(self, target, values):
        for value in values:
            target.write(value, timeout=60)

    def refused(self, source):
        try:
            source.read(timeout=1)
        except ValueError as error:
            return str(error)

    def tensor(self, value):
        import torch

        return torch.tensor(value)

    def tensors(self, value):
        import torch

        return torch.tensor(value[0]), torch.tensor(value[1])

    def number(self, value):
        return value

    def bad(self, value):
        raise ValueError("no tensor")

    def pid(self):
        return os.getpid()


@pytest.fixture
def readers():
    made = [Reader.remote() for _ in range(3)]
    ray.get([each.pid.remote() for each in made])
    return made


@pytest.fixture(scope="module")
def torch_readers(cluster):
    pytest.importorskip("torch")
    made = [Reader.remote() for _ in range(3)]
    ray.get([each.tensor.remote(1) for each in made])  # imports it, which takes seconds
    return made


def test_each_reader_gets_each_value(readers):
    target = channel.BufferedSharedMemoryChannel(None, [(each, NODE) for each in readers], 2)
    refs = [each.read.remote(target, 50) for each in readers]
    for i in range(50):
        target.write({"i": i}, timeout=60)
    assert ray.get(refs) == [[{"i": i} for i in range(50)]] * 3


def test_without_buffers_the_writer_waits(readers):
    target = channel.Channel(None, [(readers[0], NODE)], 1000)
    target.write(b"x" * 100_000)  # larger than the buffer: that grows
    with pytest.raises(exceptions.RayChannelTimeoutError):
        target.write(2, timeout=0.05)
    assert ray.get(readers[0].read.remote(target)) == [b"x" * 100_000]
    target.write(2, timeout=60)
    assert ray.get(readers[0].read.remote(target)) == [2]


def test_an_actor_writes_to_the_driver(readers):
    source = channel.Channel(readers[0], [(None, NODE)])
    done = readers[0].write.remote(source, [1, 2, 3])
    assert [source.read(timeout=60) for _ in range(3)] == [1, 2, 3]
    ray.get(done)
    with pytest.raises(exceptions.RayChannelTimeoutError):
        source.read(timeout=0)
    with pytest.raises(ValueError, match="the writer is Actor"):
        source.write(1)


def test_others_are_refused(readers):
    target = channel.Channel(None, [(readers[0], NODE)])
    assert "none of the readers" in ray.get(readers[1].refused.remote(target))
    with pytest.raises(ValueError, match="none of the readers"):
        target.read()
    with pytest.raises(ValueError, match="at least"):
        channel.Channel(None, [(readers[0], NODE)], 10)
    with pytest.raises(ValueError, match="at least one reader"):
        channel.Channel(None, [])


def test_a_closed_channel_says_so(readers):
    target = channel.Channel(None, [(readers[0], NODE)])
    ref = readers[0].read.remote(target)
    target.close()
    with pytest.raises(exceptions.RayChannelError, match="closed"):
        target.write(1)
    with pytest.raises(exceptions.RayChannelError, match="closed"):
        ray.get(ref)


def test_a_channel_whose_maker_is_gone_says_so(readers):
    target = channel.Channel(None, [(readers[0], NODE)])
    text = ray.cloudpickle.dumps(target)
    del target
    with pytest.raises(exceptions.RayChannelError):
        ray.cloudpickle.loads(text)


def test_within_a_process_the_object_itself_is_handed_on():
    value = object()
    local = channel.IntraProcessChannel(2)
    local.write(value)
    assert local.read() is value
    assert local.read() is value
    with pytest.raises(exceptions.RayChannelError, match="nothing was written"):
        local.read()


def test_a_cached_channel_reads_once(readers):
    source = channel.Channel(readers[0], [(None, NODE)])
    cached = channel.CachedChannel(3, source)
    done = readers[0].write.remote(source, ["a", "b"])
    assert [cached.read(30) for _ in range(6)] == ["a"] * 3 + ["b"] * 3
    ray.get(done)


def test_a_composite_channel_goes_both_ways(readers):
    both = channel.CompositeChannel(None, [(None, NODE), (readers[0], NODE)], 2)
    both.write("x", timeout=60)
    assert both.read() == "x"
    assert ray.get(readers[0].read.remote(both)) == ["x"]


def test_a_communicator_is_an_interface():
    with pytest.raises(TypeError, match="abstract"):
        channel.Communicator()
    with pytest.raises(NotImplementedError, match="CPUCommunicator"):
        channel.CPUCommunicator(1, [])


# ---- collective operations ----


def collective(name, readers, method="tensor", **options):
    operations = importlib.import_module(f"{ray.__name__}.experimental.collective")
    with dag.InputNode() as inp:
        nodes = [getattr(each, method).bind(inp[i]) for i, each in enumerate(readers)]
        results = getattr(operations, name).bind(nodes, **options)
        return dag.MultiOutputNode(results).experimental_compile()


def test_allreduce(torch_readers):
    types = importlib.import_module(f"{ray.__name__}.experimental.util.types")
    expected = {
        "SUM": [12.0, 9.0],
        "PRODUCT": [28.0, 24.0],
        "MAX": [7.0, 4.0],
        "MIN": [1.0, 2.0],
        "AVG": [4.0, 3.0],
    }
    for name, values in expected.items():
        graph = collective("allreduce", torch_readers, op=types.ReduceOp[name])
        for _ in range(3):
            found = ray.get(graph.execute([1.0, 3.0], [4.0, 2.0], [7.0, 4.0]))
            assert [each.tolist() for each in found] == [values] * 3
        graph.teardown()


def test_allgather_and_reducescatter(torch_readers):
    graph = collective("allgather", torch_readers)
    found = ray.get(graph.execute([1], [2], [3]))
    assert [each.tolist() for each in found] == [[1, 2, 3]] * 3
    graph.teardown()
    graph = collective("reducescatter", torch_readers)
    found = ray.get(graph.execute([1, 2, 3], [10, 20, 30], [100, 200, 300]))
    assert [each.tolist() for each in found] == [[111], [222], [333]]
    with pytest.raises(ValueError, match="divisible by the world size"):
        ray.get(graph.execute([1], [2], [3]))
    assert [each.tolist() for each in ray.get(graph.execute([0] * 3, [0] * 3, [7] * 3))] == [
        [7]
    ] * 3
    graph.teardown()


def test_several_tensors_are_reduced_at_once(torch_readers):
    operations = importlib.import_module(f"{ray.__name__}.experimental.collective")
    pair = torch_readers[:2]
    with dag.InputNode() as inp:
        one = [each.tensor.bind(inp[0]) for each in pair]
        two = [each.tensor.bind(inp[1]) for each in pair]
        (a, b), (c, d) = operations.allreduce.bind([one, two])
        graph = dag.MultiOutputNode([a, b, c, d]).experimental_compile()
    found = ray.get(graph.execute([1], [2, 3]))
    assert [each.tolist() for each in found] == [[2], [4, 6]] * 2
    graph.teardown()


def test_an_error_reaches_all_ranks_and_the_graph_goes_on(torch_readers):
    graph = collective("allreduce", torch_readers, "number")
    for output in graph.execute(1, 2, 3):
        with pytest.raises(ValueError, match="Expected a torch tensor"):
            ray.get(output)
    graph.teardown()
    operations = importlib.import_module(f"{ray.__name__}.experimental.collective")
    with dag.InputNode() as inp:
        nodes = [torch_readers[0].bad.bind(inp), torch_readers[1].tensor.bind(inp)]
        graph = dag.MultiOutputNode(operations.allreduce.bind(nodes)).experimental_compile()
    for _ in range(3):
        for output in graph.execute([1.0]):
            with pytest.raises(ValueError, match="no tensor"):
                ray.get(output)
    graph.teardown()


def test_collectives_refuse_what_makes_no_group(torch_readers):
    operations = importlib.import_module(f"{ray.__name__}.experimental.collective")
    one, two, _ = torch_readers
    with dag.InputNode() as inp:
        node = one.tensor.bind(inp)
        for nodes, words in [
            ([], "non-empty"),
            ([1], "to be DAGNode"),
            ([node, node], "unique input nodes"),
            ([node, one.tensor.bind(inp)], "unique actor handles"),
            ([[node], [two.tensor.bind(inp)]], "same set of actor handles"),
            ([inp], "Expected an actor handle"),
        ]:
            with pytest.raises(ValueError, match=words):
                operations.allreduce.bind(nodes)
        with pytest.raises(ValueError, match="Unexpected operation"):
            operations.allreduce.bind([node], op=3)
        with pytest.raises(ValueError, match="only supported for allreduce"):
            operations.allgather.bind([[node]])
    with pytest.raises(NotImplementedError, match="experimental_compile"):
        operations.allreduce.bind([node])[0].execute([1.0])
