"""ray.dag, bound and executed as tasks and actor calls. The same program's values on Ray 2.60 are in the tests."""

import asyncio
import dataclasses
import importlib
import pickle
import sys
import types
from pathlib import Path

import pytest
from _support import PEER, ray

dag = importlib.import_module(f"{ray.__name__}.dag")
InputNode, MultiOutputNode = dag.InputNode, dag.MultiOutputNode
pytestmark = [
    pytest.mark.usefixtures("cluster"),
    pytest.mark.filterwarnings("ignore:DAGNode.execute"),
]


@ray.remote
def pair(a, b=0):
    return (a, b)


@ray.remote
def add(a, b):
    return a + b


class _Adder:
    def __init__(self, start=0):
        self.total = start

    def inc(self, value):
        self.total += value
        return self.total

    def both(self, value):
        return value, value + 1

    def read(self):
        return self.total

    @staticmethod
    def plain(value):
        return value

    @classmethod
    def name(cls, value):
        return f"{cls.__name__}{value}"


Adder = ray.remote(_Adder)


@dataclasses.dataclass
class Box:
    inside: object
    label: str = "box"


def test_a_function_is_called_when_executed():
    assert ray.get(pair.bind(1, b=2).execute()) == (1, 2)


def test_results_go_into_later_calls():
    assert ray.get(add.bind(add.bind(1, 2), add.bind(3, 4)).execute()) == 10


def test_a_node_used_twice_is_called_once():
    counter = Adder.remote()
    one = counter.inc.bind(1)
    assert ray.get(add.bind(one, one).execute()) == 2
    assert ray.get(counter.read.remote()) == 1


def test_the_input_is_the_argument():
    with InputNode() as inp:
        node = pair.bind(inp)
    assert ray.get(node.execute(5)) == (5, 0)
    assert ray.get(node.execute("x")) == ("x", 0)


def test_parts_of_the_input():
    with InputNode() as inp:
        node = pair.bind(inp[0], b=inp.x)
    assert ray.get(node.execute(1, x=2)) == (1, 2)
    with InputNode() as inp:
        node = pair.bind(inp["a"], b=inp["b"])
    assert ray.get(node.execute({"a": 1, "b": 2})) == (1, 2)
    with InputNode() as inp:
        node = pair.bind(inp.inside, b=inp.label)
    assert ray.get(node.execute(Box(3))) == (3, "box")


def test_several_arguments_are_one_value():
    with InputNode() as inp:
        node = pair.bind(inp)
    data, _ = ray.get(node.execute(1, 2, k=3))
    assert type(data).__name__ == "DAGInputData"
    assert (data[0], data[1], data["k"]) == (1, 2, 3)


def test_nodes_in_containers_become_references():
    with InputNode() as inp:
        node = pair.bind([inp, {"k": add.bind(inp, 1)}])
    (value, inner), _ = ray.get(node.execute(3))
    assert value == 3
    assert ray.get(inner["k"]) == 4


def test_nodes_in_objects_are_found():
    with InputNode() as inp:
        node = pair.bind(Box(inp))
    box, _ = ray.get(node.execute(7))
    assert (box.inside, box.label) == (7, "box")


def test_a_bound_class_is_an_actor_of_each_execution():
    actor = Adder.bind(10)
    first = actor.inc.bind(2)
    second = actor.inc.bind(first)
    assert ray.get(second.execute()) == 24
    assert ray.get(second.execute()) == 24
    assert type(actor.execute()).__name__ == "ActorHandle"


def test_calls_of_a_bound_class_keep_their_order():
    actor = Adder.bind(0)
    for value in range(5):
        actor.inc.bind(value)
    assert ray.get(actor.read.bind().execute()) == 10


def test_methods_of_an_actor_that_exists():
    actor = Adder.remote(1)
    with InputNode() as inp:
        node = actor.inc.bind(inp)
    assert ray.get(node.execute(3)) == 4
    assert ray.get(node.execute(3)) == 7
    assert ray.get(actor.read.remote()) == 7


def test_several_results():
    with InputNode() as inp:
        node = MultiOutputNode([add.bind(inp, 1), add.bind(inp, 2)])
    assert ray.get(node.execute(0)) == [1, 2]
    with pytest.raises(ValueError, match="Invalid input type"):
        MultiOutputNode("ab")


def test_a_call_that_returns_several_values_is_several_nodes():
    actor = Adder.remote()
    with InputNode() as inp:
        one, two = actor.both.options(num_returns=2).bind(inp)
        node = MultiOutputNode([two, one])
    assert ray.get(node.execute(5)) == [6, 5]
    assert one.is_class_method_output
    assert (one.output_idx, two.output_idx) == (0, 1)
    assert one.class_method_call.num_returns == 2


def test_options_are_kept():
    node = pair.options(num_cpus=0.5).bind(1)
    assert node.get_options()["num_cpus"] == 0.5
    assert node.get_args() == (1,)
    assert node.get_kwargs() == {}
    assert ray.get(node.execute()) == (1, 0)
    actor = Adder.options(num_cpus=0).bind(4)
    assert ray.get(actor.read.bind().execute()) == 4


def test_apply_recursive_goes_from_the_leaves_up():
    node = add.bind(add.bind(1, 2), 3)
    seen = []

    def value(each):
        seen.append(each.get_stable_uuid())
        return sum(each.get_args())

    assert node.apply_recursive(value) == 6
    assert seen[-1] == node.get_stable_uuid()
    assert len(seen) == 2


def test_a_deep_graph_needs_no_deep_stack():
    node = add.bind(0, 1)
    for _ in range(2000):
        node = add.bind(node, 1)
    if ray.__name__ == "eagleray":  # Ray: RecursionError
        assert node.apply_recursive(lambda each: sum(each.get_args())) == 2001


def test_apply_functional_replaces_what_it_is_asked_to():
    one, two = add.bind(1, 2), pair.bind(3)
    kind = dag.FunctionNode
    found = one.apply_functional(
        [one, {"k": two}, 5], lambda n: isinstance(n, kind), lambda n: n.get_args()[0]
    )
    assert found == [1, {"k": 3}, 5]


def test_references_of_the_last_execution():
    inner = add.bind(1, 2)
    node = add.bind(inner, 3)
    node.execute(_ray_cache_refs=True)
    refs = asyncio.run(node.get_object_refs_from_last_execute())
    assert ray.get(refs[inner.get_stable_uuid()]) == 3
    assert ray.get(refs[node.get_stable_uuid()]) == 6


def test_a_node_survives_pickle():
    node = add.bind(add.bind(1, 2), 3)
    again = pickle.loads(ray.cloudpickle.dumps(node))
    assert again.get_stable_uuid() == node.get_stable_uuid()
    assert ray.get(again.execute()) == 6


def test_misuse_is_said():
    actor = Adder.bind(1)
    node = actor.inc.bind(1)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        actor.nothing.bind()
    with pytest.raises(AttributeError, match="cannot be used again"):
        node.bind(1)
    with pytest.raises(AttributeError, match=r"\.remote\(\) cannot be used on"):
        node.remote(1)
    with pytest.raises(AttributeError, match=r"Use \.bind\(\) instead"):
        actor.inc.remote(1)
    with pytest.raises(ValueError, match="should not take any args"):
        InputNode(1)
    with pytest.raises(AssertionError, match="context manager"):
        pair.bind(InputNode()).execute(1)
    with pytest.raises(AssertionError, match="int index or str"):
        InputNode()[1.5]
    with pytest.raises(ValueError, match="cannot be used as args"), InputNode() as inp:
        Adder.bind(inp)
    with InputNode() as one, InputNode() as two:
        node = pair.bind(one, b=two)
    with pytest.raises(AssertionError, match="one unique InputNode"):
        node.execute(1)


def test_arguments_are_checked_when_a_method_is_bound():
    actor = Adder.remote()
    for args, kwargs in [((), {}), ((1, 2), {}), ((1,), {"other": 2})]:
        with pytest.raises(TypeError, match="has a signature"):
            actor.inc.bind(*args, **kwargs)
    assert ray.get(actor.inc.bind(value=3).execute()) == 3
    assert ray.get(actor.plain.bind(4).execute()) == 4
    assert ray.get(actor.name.bind(5).execute()) == "_Adder5"


def test_the_text_of_a_node_says_what_it_is():
    text = str(pair.bind(1, b=2))
    assert text.startswith("(FunctionNode, ")
    assert "pair" in text


def test_an_error_is_that_of_the_call():
    @ray.remote
    def fails(_):
        raise ValueError("bad")

    with InputNode() as inp:
        node = add.bind(fails.bind(inp), 1)
    with pytest.raises(ValueError, match="bad"):
        ray.get(node.execute(1))


def test_plot_says_what_it_needs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))  # no graphviz
    with pytest.raises(ImportError, match="required to plot DAG"):
        dag.plot(add.bind(1, 2), str(tmp_path / "graph.png"))


class _FakePydot(types.ModuleType):
    """As much of pydot as a picture needs."""

    class Dot:
        def __init__(self, **options):
            self.nodes, self.edges = [], []
            _FakePydot.last = self

        def add_node(self, node):
            self.nodes.append(node[0])

        def add_edge(self, edge):
            self.edges.append(edge)

        def write(self, name, format):
            Path(name).write_text(format)

    @staticmethod
    def Node(*names):
        return names

    Edge = Node


@pytest.mark.skipif(PEER, reason="Ray asks pydot for more")
def test_plot_draws_nodes_and_edges(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pydot", _FakePydot("pydot"))
    (tmp_path / "dot").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with InputNode() as inp:
        node = add.bind(add.bind(inp[0], 2), pair.bind(inp[0]))
    dag.plot(node, str(tmp_path / "graph.svg"))
    assert (tmp_path / "graph.svg").read_text() == "svg"
    drawn = _FakePydot.last
    assert drawn.nodes == ["InputNode", "0", "add", "pair", "add_1"]
    assert set(drawn.edges) == {
        ("InputNode", "0"),
        ("0", "add"),
        ("0", "pair"),
        ("add", "add_1"),
        ("pair", "add_1"),
    }


def test_settings_come_from_the_environment(monkeypatch):
    context = dag.DAGContext.get_current()
    assert context is dag.DAGContext.get_current()
    assert (context.get_timeout, context.max_inflight_executions) == (10, 10)
    assert context.buffer_size_bytes == 1_000_000
    with pytest.raises(ValueError, match="must be less than or equal"):
        dag.DAGContext(read_iteration_timeout=20, get_timeout=10)


def test_where_objects_lie():
    numpy = pytest.importorskip("numpy")
    experimental = importlib.import_module(f"{ray.__name__}.experimental")
    large, small = ray.put(numpy.zeros(200_000)), add.remote(1, 2)
    assert ray.get(small) == 3
    found = experimental.get_object_locations([large, small])
    node = ray.get_runtime_context().get_node_id()
    assert found[large]["node_ids"] == [node]
    assert found[large]["object_size"] >= 1_600_000
    assert found[large]["did_spill"] is False
    assert found[small]["node_ids"] == []
    assert experimental.get_local_object_locations([large])[large]["node_ids"] == [node]
    with pytest.raises(DeprecationWarning):
        experimental.set_resource("a", 1)
