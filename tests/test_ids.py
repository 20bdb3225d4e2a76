"""Ids and the runtime context. Ray's contract, too: `./dev test --peer ray`."""

import pickle
import warnings

import pytest
from _support import PEER, ray

pytestmark = pytest.mark.usefixtures("cluster")
only_eagleray = pytest.mark.skipif(PEER, reason="Ray waits, or says nothing")

SIZES = {"JobID": 4, "ActorID": 16, "TaskID": 24, "PlacementGroupID": 18}
NAMES = [*SIZES, "UniqueID", "NodeID", "WorkerID", "FunctionID", "ActorClassID", "ObjectRef"]


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_id(name):
    kind, size = getattr(ray, name), SIZES.get(name, 28)
    blob = bytes(range(size))
    made = kind(blob)
    assert kind.size() == size and made.binary() == blob and made.hex() == blob.hex()
    assert repr(made) == f"{name}({blob.hex()})" and not made.is_nil()
    nil = kind.nil()
    assert nil.is_nil() and nil.binary() == b"\xff" * size and nil != made
    assert len({made, kind(blob), nil}) == 2
    assert pickle.loads(pickle.dumps(made)) == made
    if name not in ("ObjectRef", "UniqueID"):
        assert kind.from_hex(blob.hex()) == made == kind.from_binary(blob)
    if name in ("JobID", "TaskID"):
        assert not hasattr(kind, "from_random")
    else:
        assert kind.from_random() != kind.from_random()
    for wrong, error in ((b"short", ValueError), ("text", TypeError), (5, TypeError)):
        with pytest.raises(error):
            kind(wrong)


@only_eagleray
def test_hexadecimals_of_another_length():
    for wrong in ("zz", "ab"):
        with pytest.raises(ValueError):
            ray.NodeID.from_hex(wrong)


def test_ids_nest():
    job = ray.JobID.from_int(7)
    assert job.int() == 7
    task = ray.TaskID.for_fake_task(job)
    assert task.job_id() == job == task.actor_id().job_id
    assert ray.ActorID.of(job, task, 1).job_id == job
    assert ray.PlacementGroupID.of(job).binary()[-4:] == job.binary()
    assert isinstance(ray.NodeID.nil(), ray.UniqueID) and ray.NodeID.nil() != ray.WorkerID.nil()

    @ray.remote
    def who():
        return ray.get_runtime_context().get_task_id()

    ref = who.remote()
    assert ref.task_id().hex() == ray.get(ref)
    assert ref.job_id().hex() == ray.get_runtime_context().get_job_id()
    random = ray.ObjectRef.from_random()
    assert random.task_id().binary() == random.binary()[:24]


@only_eagleray
def test_a_reference_that_names_no_object():
    ref = ray.ObjectRef.from_random()
    uses = (
        lambda: ray.get(ref),
        lambda: ray.get(ref, timeout=0),
        lambda: ray.wait([ref]),
        lambda: ray.cancel(ref),
        lambda: ray.remote(lambda x: x).remote(ref),
        lambda: ref.future(),
    )
    for use in uses:
        with pytest.raises(ValueError, match="names no object"):
            use()
    assert ray.get(ray.remote(repr).remote([ref])) == f"[{ref!r}]"


def deprecated(context, name):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        value = getattr(context, name)
        value = value() if callable(value) else value
    assert any(issubclass(each.category, DeprecationWarning) for each in said)
    return value


DEPRECATED = "job_id node_id task_id actor_id current_placement_group_id get_resource_ids get"


def seen():
    context = ray.get_runtime_context()
    old = {name: deprecated(context, name) for name in DEPRECATED.split()}
    new = {
        "job_id": context.get_job_id(),
        "node_id": context.get_node_id(),
        "task_id": context.get_task_id(),
        "actor_id": context.get_actor_id(),
    }
    return old, new


@ray.remote
class Seer:
    def seen(self):
        return seen()


def test_deprecated_properties_of_the_context():
    for old, new in (ray.get(ray.remote(seen).remote()), ray.get(Seer.remote().seen.remote())):
        for name, value in new.items():
            assert (old[name] and old[name].hex()) == value
            assert (name in old["get"]) == (value is not None)
        assert old["current_placement_group_id"].is_nil()
        assert old["get_resource_ids"]["GPU"] == []


def test_deprecated_properties_in_the_driver():
    context = ray.get_runtime_context()
    assert deprecated(context, "job_id").hex() == context.get_job_id()
    assert set(deprecated(context, "get")) == {"job_id", "node_id", "namespace"}
    for name in ("task_id", "actor_id"):
        with pytest.raises(AssertionError):
            deprecated(context, name)
