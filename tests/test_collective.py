"""ray.util.collective on CPU. Values are torch.distributed's by definition of the operations."""

import contextlib
import os
from importlib import import_module

import numpy as np
import pytest
from _support import PEER, ray

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("cluster")
col = import_module(f"{ray.__name__}.util.collective")
types = import_module(f"{ray.__name__}.util.collective.types")
only_ours = pytest.mark.skipif(PEER, reason="beyond Ray's")


class Member:
    def __init__(self):
        self.value = None

    def join(self, size, rank, name="default", backend="gloo", timeout=30000):
        col.init_collective_group(size, rank, backend, name, gloo_timeout=timeout)
        return col.get_rank(name), col.get_collective_group_size(name)

    def call(self, function, *args, **kwargs):
        return getattr(col, function)(*args, **kwargs)

    def on(self, tensor, function, *args, **kwargs):
        """The tensor after the operation on it."""
        tensor = tensor.copy() if isinstance(tensor, np.ndarray) else tensor.clone()
        getattr(col, function)(tensor, *args, **kwargs)
        return tensor

    def gather(self, tensor, size):
        outputs = [np.zeros_like(tensor) for _ in range(size)]
        col.allgather(outputs, tensor.copy())
        return outputs

    def scatter(self, tensors):
        output = np.zeros_like(tensors[0])
        col.reducescatter(output, [t.copy() for t in tensors])
        return output


@pytest.fixture
def members(cluster):
    actors = [ray.remote(num_cpus=0)(Member).remote() for _ in range(3)]
    joined = [actor.join.remote(3, rank) for rank, actor in enumerate(actors)]
    assert ray.get(joined) == [(0, 3), (1, 3), (2, 3)]
    yield actors
    ray.get([actor.call.remote("destroy_collective_group") for actor in actors])
    for actor in actors:
        ray.kill(actor)


def arrays(count=3):
    return [np.arange(4, dtype=np.float32) + 10 * i for i in range(count)]


def everywhere(members, function, *args, tensors=None, **kwargs):
    given = tensors or arrays()
    return ray.get(
        [m.on.remote(t, function, *args, **kwargs) for m, t in zip(members, given, strict=True)]
    )


def test_reductions(members):
    for result in everywhere(members, "allreduce"):
        np.testing.assert_array_equal(result, sum(arrays()))
    for op, expected in [("PRODUCT", np.multiply), ("MIN", np.minimum), ("MAX", np.maximum)]:
        for result in everywhere(members, "allreduce", op=types.ReduceOp[op]):
            np.testing.assert_array_equal(result, expected.reduce(arrays()))
    results = everywhere(members, "reduce", 1)
    np.testing.assert_array_equal(results[1], sum(arrays()))
    np.testing.assert_array_equal(results[0], arrays()[0])
    np.testing.assert_array_equal(results[2], arrays()[2])


def test_tensors_of_torch(members):
    tensors = [torch.ones(5) * i for i in range(3)]
    for result in everywhere(members, "allreduce", tensors=tensors):
        assert torch.equal(result, torch.full((5,), 3.0))


def test_copies(members):
    for result in everywhere(members, "broadcast", 2):
        np.testing.assert_array_equal(result, arrays()[2])
    gathered = ray.get([m.gather.remote(t, 3) for m, t in zip(members, arrays(), strict=True)])
    for outputs in gathered:
        np.testing.assert_array_equal(outputs, arrays())
    scattered = ray.get([m.scatter.remote(arrays()) for m in members])
    for rank, result in enumerate(scattered):
        np.testing.assert_array_equal(result, 3 * arrays()[rank])


def test_send_and_receive(members):
    sent = members[0].on.remote(arrays()[2], "send", 1)
    received = members[1].on.remote(arrays()[0], "recv", 0)
    np.testing.assert_array_equal(ray.get(received), arrays()[2])
    ray.get(sent)
    with pytest.raises(RuntimeError, match="is self"):
        ray.get(members[0].on.remote(arrays()[0], "send", 0))
    ray.get([m.call.remote("barrier") for m in members])


def test_what_cannot_be_meant(members):
    with pytest.raises(RuntimeError, match="Unrecognized tensor type"):
        ray.get(members[0].call.remote("allreduce", [1, 2]))
    with pytest.raises(ValueError, match="negative"):
        ray.get(members[0].on.remote(arrays()[0], "broadcast", -1))
    with pytest.raises(ValueError, match="less than world size"):
        ray.get(members[0].on.remote(arrays()[0], "broadcast", 3))
    with pytest.raises(RuntimeError, match="equal to world_size"):
        ray.get(members[0].gather.remote(arrays()[0], 2))
    with pytest.raises(RuntimeError, match="second time"):
        ray.get(members[0].join.remote(3, 0))
    with pytest.raises(RuntimeError, match="not initialized"):
        ray.get(members[0].on.remote(arrays()[0], "allreduce", "other"))
    assert ray.get(members[0].call.remote("get_rank", "other")) == -1


def test_declared_by_the_driver(cluster):
    actors = [ray.remote(num_cpus=0)(Member).remote() for _ in range(2)]
    col.create_collective_group(actors, 2, [1, 0], "gloo", "declared")
    with pytest.raises(RuntimeError, match="twice"):
        col.create_collective_group(actors, 2, [0, 1], "gloo", "declared")
    results = ray.get(
        [a.on.remote(t, "broadcast", 0, "declared") for a, t in zip(actors, arrays(2), strict=True)]
    )
    for result in results:
        np.testing.assert_array_equal(result, arrays()[1])
    assert ray.get([a.call.remote("get_rank", "declared") for a in actors]) == [1, 0]
    ray.get([a.call.remote("destroy_collective_group", "declared") for a in actors])
    with pytest.raises(RuntimeError, match="2' ranks but '1' actors"):
        col.create_collective_group(actors[:1], 2, [0, 1], "gloo", "x")
    with pytest.raises(RuntimeError, match="permutation"):
        col.create_collective_group(actors, 2, [0, 2], "gloo", "x")


def test_backends():
    assert col.gloo_available() and not col.nccl_available()
    with pytest.raises(RuntimeError, match="inside a Ray actor"):
        col.init_collective_group(1, 0, "gloo")
    with pytest.raises(RuntimeError, match="inside a Ray actor"):
        col.allreduce(np.zeros(1))
    assert types.Backend("gloo") == "GLOO"
    with pytest.raises(ValueError, match="Unrecognized backend"):
        types.Backend("carrier pigeon")


@pytest.mark.parametrize(
    "name", ["allreduce", "reduce", "broadcast", "allgather", "reducescatter", "send", "recv"]
)
def test_several_gpus(name):
    arguments = {"send": (1, 0), "recv": (1, 0), "allgather": ([],), "reducescatter": ([],)}
    with pytest.raises(RuntimeError, match="NCCL"):
        getattr(col, f"{name}_multigpu")([], *arguments.get(name, ()))


# ---- beyond Ray's ----


@only_ours
def test_nccl_says_what_there_is(cluster):
    member = ray.remote(num_cpus=0)(Member).remote()
    with pytest.raises(RuntimeError, match="NCCL is not available.*backend='gloo'"):
        ray.get(member.join.remote(1, 0, backend="nccl"))


@only_ours
def test_several_groups_in_a_process(members):
    joined = [m.join.remote(2, rank, "pair") for rank, m in enumerate(members[1:])]
    assert ray.get(joined) == [(0, 2), (1, 2)]
    results = ray.get([m.on.remote(np.ones(2), "allreduce", "pair") for m in members[1:]])
    assert [r.tolist() for r in results] == [[2, 2]] * 2
    for result in everywhere(members, "allreduce"):
        np.testing.assert_array_equal(result, sum(arrays()))
    ray.get([m.call.remote("destroy_collective_group", "pair") for m in members[1:]])


@only_ours
def test_a_name_is_used_again_after_its_members_have_died(cluster):
    for _ in range(2):
        actors = [ray.remote(num_cpus=0)(Member).remote() for _ in range(2)]
        # The second first: it finds what the dead have left.
        joined = [actors[i].join.remote(2, i, "again") for i in (1, 0)]
        assert sorted(ray.get(joined)) == [(0, 2), (1, 2)]
        for actor in actors:
            ray.kill(actor)


@only_ours
def test_waiting_for_members_ends(cluster):
    member = ray.remote(num_cpus=0)(Member).remote()
    with pytest.raises(TimeoutError, match="rank 1 .* 'alone' has waited 0.3 s for rank 0"):
        ray.get(member.join.remote(2, 1, "alone", timeout=300))


@only_ours
def test_read_only_arrays_say_what_to_do(members):
    class Reads(Member):
        def reduce_stored(self, array):
            col.allreduce(array)

    actor = ray.remote(num_cpus=0)(Reads).remote()
    ray.get(actor.join.remote(1, 0, "one"))
    with pytest.raises(RuntimeError, match="not initialized"):
        ray.get(actor.reduce_stored.remote(np.zeros(1 << 20)))

    class Alone(Member):
        def reduce_stored(self, array):
            col.init_collective_group(1, 0, "gloo", "alone2")
            col.allreduce(array, "alone2")

    with pytest.raises(ValueError, match="use a copy"):
        ray.get(ray.remote(num_cpus=0)(Alone).remote().reduce_stored.remote(np.zeros(1 << 20)))


@only_ours
def test_a_backend_of_one_s_own(cluster):
    from eagleray.util.collective.collective_group.base_collective_group import BaseGroup

    class Mine(BaseGroup):
        @classmethod
        def check_backend_availability(cls):
            return True

        def allreduce(self, tensor, options):
            tensor[0] *= self.world_size

        barrier = reduce = allgather = broadcast = reducescatter = send = recv = None

    @ray.remote
    def use():
        col.register_collective_backend("mine", Mine)
        col.init_collective_group(1, 0, "mine", "g")
        array = np.ones(2)
        col.allreduce(array, "g")
        return array.tolist()

    assert ray.get(use.remote()) == [1, 1]
    with pytest.raises(TypeError, match="BaseGroup"):
        col.register_collective_backend("other", int)


@only_ours
def test_groups_are_joined_in_any_order(cluster):
    """By threads of the same two processes."""
    first, second = (ray.remote(num_cpus=0, max_concurrency=4)(Member).remote() for _ in range(2))
    joined = [first.join.remote(2, 0, "x"), second.join.remote(2, 1, "y")]
    assert ray.wait(joined, timeout=1)[0] == []
    joined += [second.join.remote(2, 1, "x"), first.join.remote(2, 0, "y")]
    assert ray.get(joined) == [(0, 2), (1, 2), (1, 2), (0, 2)]


@only_ours
def test_it_listens_on_loopback_only(cluster):
    class Looks(Member):
        def listens(self):
            """Addresses at which this process listens, as the kernel writes them."""
            own, found = set(), set()
            for fd in os.listdir("/proc/self/fd"):
                with contextlib.suppress(OSError):
                    own.add(os.readlink(f"/proc/self/fd/{fd}"))
            for table in ("tcp", "tcp6"):
                with open(f"/proc/net/{table}") as file:
                    for line in file.readlines()[1:]:
                        fields = line.split()
                        if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                            found.add(fields[1].split(":")[0])
            return found

    member = ray.remote(num_cpus=0)(Looks).remote()
    ray.get(member.join.remote(1, 0, "private"))
    assert ray.get(member.listens.remote()) == {"0100007F"}
