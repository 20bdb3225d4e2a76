"""Small names of Ray's core that work: what they do. Ray's contract, too."""

import importlib
import io
import pickle
import threading
import typing

import pytest
from _support import PEER, ray


def module(name):
    return importlib.import_module(f"{ray.__name__}.{name}")


def test_log_once_can_begin_again():
    debug = module("util.debug")
    assert debug.log_once("names") and not debug.log_once("names")
    debug.reset_log_once("names")
    assert debug.log_once("names") and not debug.log_once("names")
    debug.reset_log_once()
    assert debug.log_once("names")


def test_what_cannot_be_pickled_is_explained():
    cloudpickle = module("cloudpickle")
    assert pickle.loads(cloudpickle.dumps_debug(lambda: 7))() == 7
    file = io.BytesIO()
    cloudpickle.dump_debug([1, 2], file)
    assert pickle.loads(file.getvalue()) == [1, 2]
    with pytest.raises(TypeError, match="lock"):
        cloudpickle.dumps_debug({"a": threading.Lock()})


def test_cloudpickle_has_its_modules():
    assert module("cloudpickle.cloudpickle").register_pickle_by_value.__name__
    in_python = module("cloudpickle.py_pickle")
    assert in_python.loads(pickle.dumps([1])) == [1]
    assert issubclass(in_python.Pickler, pickle._Pickler)
    assert in_python.HIGHEST_PROTOCOL == pickle.HIGHEST_PROTOCOL


def test_where_a_notebook_is():
    util = module("widgets.util")
    assert not util.in_notebook() and not util.in_ipython_shell()
    assert util.in_notebook("ZMQInteractiveShell")
    assert util.in_ipython_shell("TerminalInteractiveShell")

    class Shown:
        @util.repr_with_fallback(["ipywidgets", "8"])
        def _repr_mimebundle_(self, **kwargs):
            return {"text/html": "<b>x</b>"}

        def __repr__(self):
            return "x"

    assert Shown()._repr_mimebundle_() == {"text/plain": "x"}


def test_accelerators_and_annotations():
    accelerators = module("util.accelerators")
    assert accelerators.AMD_INSTINCT_MI300x == "AMD-Instinct-MI300X-OAM"
    assert accelerators.AMD_INSTINCT_MI250x == "AMD-Instinct-MI250X"
    assert accelerators.NVIDIA_A100_80G == "A100-80G"
    assert accelerators.NVIDIA_A100_40G == "A100-40G"
    kinds = module("util.annotations").AnnotationType
    assert [kind.value for kind in kinds] == ["PublicAPI", "DeveloperAPI", "Deprecated", "Unknown"]


def test_names_of_types():
    type_to_string = module("experimental.gradio_utils").type_to_string
    assert type_to_string(int) == "int"
    assert type_to_string(io.BytesIO) == "_io.BytesIO"
    assert type_to_string(typing.List) == "typing.List"  # noqa: UP006


def test_nodes_of_graphs_have_a_base():
    assert issubclass(module("dag").DAGNode, module("dag.base").DAGNodeBase)


def test_no_program_is_a_client():
    assert module("util.client").num_connected_contexts() == 0


@pytest.mark.skipif(PEER, reason="looks at what another module has")
def test_names_that_stand_in_another_module_are_the_same():
    for there, here, name in (
        ("runtime_env.runtime_env", "runtime_env", "RuntimeEnv"),
        ("remote_function", "_remote_function", "RemoteFunction"),
        ("experimental.queue", "util.queue", "Queue"),
        ("experimental.multiprocessing.pool", "util.multiprocessing", "Pool"),
        ("experimental.channel.shared_memory_channel", "experimental.channel", "Channel"),
        ("experimental.state.api", "util.state", "list_actors"),
        ("air.config", "train", "RunConfig"),
        ("air.result", "air", "Result"),
        ("widgets.render", "widgets", "Template"),
    ):
        assert getattr(module(there), name) is getattr(module(here), name)


class Point:
    def __init__(self, lock):
        self.lock = lock


def test_a_serializer_is_registered_without_a_connection(cluster):
    context = module("util.serialization").StandaloneSerializationContext()
    context._register_cloudpickle_serializer(
        Point, custom_serializer=lambda point: 7, custom_deserializer=Point
    )
    if not PEER:  # Ray's changes its cloudpickle only
        assert ray.get(ray.put(Point(threading.Lock()))).lock == 7
    context._unregister_cloudpickle_reducer(Point)
    module("util.serialization_addons").apply(context)  # where starlette is missing, too


def test_a_group_of_actors_is_made_from_outside(cluster):
    pytest.importorskip("torch")
    collective = module("experimental.collective")

    @ray.remote(num_cpus=0)
    class Member:
        def total(self, group):
            import torch

            tensor = torch.ones(2)
            ray.util.collective.allreduce(tensor, group)
            return tensor.tolist()

    members = [Member.remote() for _ in range(2)]
    group = collective.create_collective_group(members, backend="torch_gloo", name="outside")
    assert ray.get([m.total.remote("outside") for m in members], timeout=60) == [[2.0, 2.0]] * 2
    assert (group.name, group.get_rank(members[1]), group.actors) == ("outside", 1, members)
    assert group.get_rank(None) == -1
    assert collective.get_collective_groups([members[0]]) == [group]
    assert collective.get_collective_groups([members[0]], "nccl") == []
    with pytest.raises(RuntimeError, match="already in group"):
        collective.create_collective_group(members, backend="torch_gloo")
    collective.destroy_collective_group(group)
    with pytest.raises(ValueError, match="No group with name outside"):
        collective.destroy_collective_group("outside")
    with pytest.raises(ValueError, match="unique"):
        collective.create_collective_group([members[0]] * 2, backend="torch_gloo")
    collective.create_collective_group(members, backend="torch_gloo")
    collective.destroy_all_collective_groups()
    assert collective.get_collective_groups([]) == []
