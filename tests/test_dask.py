"""ray.util.dask. Values are Dask's own, and Ray's (with a Ray environment that has Dask)."""

import operator
from importlib import import_module

import pytest
from _support import PEER, ray

dask = pytest.importorskip("dask")
pytestmark = pytest.mark.usefixtures("cluster")
on_ray = import_module(f"{ray.__name__}.util.dask")
only_ours = pytest.mark.skipif(PEER, reason="beyond Ray's scheduler")


@pytest.fixture(autouse=True)
def scheduler(cluster):
    with on_ray.enable_dask_on_ray():
        yield


@dask.delayed
def add(a, b):
    return a + b


def test_delayed():
    parts = [add(i, 1) for i in range(10)]
    assert dask.delayed(sum)(parts).compute() == 55
    assert dask.compute(add(1, 2), [add(3, 4), {"a": add(5, 6)}]) == (3, [7, {"a": 11}])
    if not PEER:  # Ray's takes no expressions, which Dask has given since 2025
        assert add(add(1, 2), add(3, 4)).compute(scheduler=on_ray.ray_dask_get_sync) == 10


def test_graphs_of_tuples():
    graph = {"x": 1, "y": (operator.add, "x", 2), "z": (sum, ["x", "y"]), "w": "z"}
    assert on_ray.ray_dask_get(graph, "z") == 4
    assert list(map(list, on_ray.ray_dask_get(graph, [["x", "y"], ["w"]]))) == [[1, 3], [4]]


def test_tasks_run_in_workers():
    import os

    assert dask.delayed(os.getpid)().compute() != os.getpid()


def test_what_a_task_raises():
    with pytest.raises(ZeroDivisionError):
        dask.delayed(operator.truediv)(1, 0).compute()


def test_arrays_and_frames():
    np = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    array = pytest.importorskip("dask.array")
    frames = pytest.importorskip("dask.dataframe")
    x = array.from_array(np.arange(10_000).reshape(100, 100), chunks=(30, 30))
    assert (x + x.T).sum().compute() == 2 * np.arange(10_000).sum()
    frame = pandas.DataFrame({"key": [i % 7 for i in range(500)], "value": range(500)})
    ours = frames.from_pandas(frame, npartitions=5).groupby("key").value.sum().compute()
    assert ours.sort_index().tolist() == frame.groupby("key").value.sum().tolist()
    shuffled = frames.from_pandas(frame, npartitions=5).shuffle("key")
    assert sorted(shuffled.compute().value) == list(range(500))


def test_bags():
    bag = pytest.importorskip("dask.bag")
    numbers = bag.from_sequence(range(20), npartitions=4)
    assert numbers.map(lambda x: x * x).filter(lambda x: x % 2).sum().compute() == 1330


def test_persist_leaves_results_in_the_store():
    np = pytest.importorskip("numpy")
    array = pytest.importorskip("dask.array")
    x = array.from_array(np.arange(100), chunks=25) + 1
    (kept,) = on_ray.ray_dask_persist(x)
    held = [value for value in dict(kept.__dask_graph__()).values()]
    assert all(isinstance(getattr(v, "value", v), ray.ObjectRef) for v in held)
    assert (kept * 2).sum().compute() == 2 * np.arange(1, 101).sum()
    assert x.persist().sum().compute() == 5050
    with on_ray.disable_dask_on_ray():
        other = x.persist(scheduler="sync")
        assert not any(isinstance(v, ray.ObjectRef) for v in dict(other.__dask_graph__()).values())


def test_options():
    with dask.annotate(ray_remote_args={"num_cpus": 2}):
        a = add(1, 2)
    assert a.compute(optimize_graph=False) == 3
    assert add(1, 2).compute(ray_remote_args={"num_cpus": 0.5}) == 3
    with pytest.raises(ValueError, match="ray_remote_args"):
        add(1, 2).compute(resources={"a": 1})


def test_callbacks(tmp_path):
    class Told(on_ray.RayDaskCallback):
        def __init__(self):
            self.events = []

        def _ray_presubmit(self, task, key, deps):
            self.events.append("presubmit")

        def _ray_postsubmit(self, task, key, deps, object_ref):
            assert isinstance(object_ref, ray.ObjectRef)
            self.events.append("postsubmit")

        def _ray_postsubmit_all(self, object_refs, dsk):
            self.events.append("postsubmit_all")

        def _ray_finish(self, result):
            self.events.append(tuple(result))

    with Told() as told:
        assert add(1, 2).compute() == 3
    assert told.events == ["presubmit", "postsubmit", "postsubmit_all", (3,)]

    def before(key, refs):
        return "state"

    def after(key, result, pre_state):
        (tmp_path / "told").write_text(f"{result} {pre_state}")

    with on_ray.RayDaskCallback(ray_pretask=before, ray_posttask=after):
        assert add(2, 2).compute() == 4
    assert (tmp_path / "told").read_text() == "4 state"
    with on_ray.RayDaskCallback(ray_presubmit=lambda task, key, deps: 7):
        assert add(2, 2).compute() == 7
    callback = on_ray.RayDaskCallback(ray_finish=print)
    assert add(2, 2).compute(ray_callbacks=[callback._ray_callback]) == 4


def test_unpacking():
    assert on_ray.unpack_ray_callbacks(None) == ((),) * 6
    one = on_ray.RayDaskCallback(ray_finish=print)._ray_callback
    assert on_ray.unpack_ray_callbacks([one]).ray_finish_cbs == [print]
    with on_ray.RayDaskCallback(ray_finish=print), on_ray.local_ray_callbacks() as active:
        assert len(active) == 1 and not on_ray.RayDaskCallback.ray_active


def test_dask_s_own_callbacks():
    from dask.callbacks import Callback

    keys = []
    with Callback(pretask=lambda key, dsk, state: keys.append(key)):
        assert add(1, add(2, 3)).compute(optimize_graph=False) == 6
    assert len(keys) == 2


def test_the_optimizer_of_older_releases_says_so():
    with pytest.warns(UserWarning, match="default one"):
        assert on_ray.dataframe_optimize({}, []) is None


# ---- beyond Ray's ----


@only_ours
def test_intermediate_results_go_while_the_rest_runs(monkeypatch):
    from eagleray.util.dask import scheduler as module

    held = []
    submit = module._Run._submit

    def watch(self, key):
        held.append(len(self.cache))
        return submit(self, key)

    monkeypatch.setattr(module._Run, "_submit", watch)
    chain = add(0, 0)
    for _ in range(30):
        chain = add(chain, 1)
    assert chain.compute(optimize_graph=False) == 30
    assert max(held) <= 2


@only_ours
def test_large_data_of_a_graph_is_put_once(monkeypatch):
    np = pytest.importorskip("numpy")
    puts = []
    put = ray.put
    monkeypatch.setattr(
        "eagleray.util.dask.scheduler.ray.put", lambda v: (puts.append(1), put(v))[1]
    )
    array = np.ones(100_000)
    graph = {"a": array, **{f"s{i}": (operator.getitem, "a", i) for i in range(5)}}
    assert list(on_ray.ray_dask_get(graph, [f"s{i}" for i in range(5)])) == [1.0] * 5
    assert len(puts) == 1


@only_ours
def test_progress_bar(capsys):
    with on_ray.ProgressBarCallback():
        assert add(1, add(2, 3)).compute(optimize_graph=False) == 6
    out = capsys.readouterr()
    assert "All tasks are completed." in out.out and "2/2" in out.err
