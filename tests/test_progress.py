"""Progress bars, log_once, inspect_serializability, register_serializer and ActorGroup."""

import os
import sys
import threading

import pytest
from _support import PEER, ray, run_program, wait_for

only_ours = pytest.mark.skipif(PEER, reason="beyond Ray's")
BARS = """
import eagleray as ray
from eagleray.experimental import tqdm_ray

@ray.remote
def work(name):
    for _ in tqdm_ray.tqdm(range(40), desc=name, flush_interval_s=0):
        pass
    print("said by", name)

ray.init(num_cpus=2)
ray.get([work.remote("one"), work.remote("two")])
ray.util.progress([ray.remote(abs).remote(i) for i in range(20)], desc="refs")
"""


@only_ours
def test_redirected_they_are_lines():
    out, err = run_program(BARS)
    lines = err.splitlines()
    for name in ("one", "two"):
        mine = [line for line in lines if name in line]
        assert mine and all(line.startswith("(pid=") for line in mine)
        assert mine[-1].endswith(f") {name}: 40/40 it")
        assert len(mine) <= 12  # a line a tenth
    assert "refs: 20/20 tasks" in lines
    assert "said by one" in out and "magic" not in out + err


def shown_in_a_terminal(program):
    pexpect = pytest.importorskip("pexpect")
    pytest.importorskip("rich")
    paths = os.path.dirname(os.path.dirname(ray.__file__))
    child = pexpect.spawn(
        sys.executable,
        ["-c", program],
        env={**os.environ, "PYTHONPATH": paths, "TERM": "xterm", "COLUMNS": "100"},
        encoding="utf-8",
        timeout=60,
    )
    child.expect(pexpect.EOF)
    return child.before


@only_ours
def test_in_a_terminal_they_are_bars():
    text = shown_in_a_terminal(BARS)
    assert "━" in text and "40/40" in text and "20/20" in text
    assert "said by two" in text and "magic" not in text


@only_ours
def test_in_a_notebook_they_are_html():
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    cells = [nbformat.v4.new_code_cell(code) for code in (BARS, "print('next')", "ray.shutdown()")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3")
    client.execute(env={**os.environ, "PYTHONPATH": os.path.abspath("python")})
    first, second = ([o for o in cell["outputs"]] for cell in notebook.cells[:2])
    shown = [o["data"]["text/html"] for o in first if o["output_type"] == "display_data"]
    assert len(shown) == 3
    assert any('max="20"' in text and "20 / 20 tasks" in text for text in shown)
    assert any("one" in text and "40 / 40 it" in text for text in shown)
    assert [o["output_type"] for o in second] == ["stream"]


@only_ours
def test_progress_gives_the_references(cluster, tmp_path, capsys):
    refs = [ray.put(i) for i in range(3)]
    assert ray.get(ray.util.progress([*refs, refs[0]])) == [0, 1, 2, 0]
    assert "3/3 tasks" in capsys.readouterr().err
    assert ray.util.progress([]) == []

    @ray.remote
    def waits():
        wait_for((tmp_path / "go").exists, 60)

    waiting = waits.remote()
    with pytest.raises(ray.exceptions.GetTimeoutError, match="1 of 1 references"):
        ray.util.progress([waiting], timeout=0.05)
    (tmp_path / "go").touch()
    ray.get(waiting)


@only_ours
def test_bars_of_the_driver(capsys):
    from eagleray.experimental.tqdm_ray import tqdm

    bar = tqdm(total=4, desc="mine", flush_interval_s=0)
    bar.update(2)
    bar.set_description("ours")
    bar.refresh()
    assert (bar.n, bar.total) == (2, 4)
    bar.update(2)
    bar.close()
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["mine: 2/4 it", "ours: 4/4 it", "ours: 4/4 it"]
    with pytest.raises(ValueError, match="No iterable"):
        list(tqdm())
    assert list(tqdm(iter("ab"))) == ["a", "b"]


@only_ours
def test_what_looks_like_a_bar_is_printed():
    from eagleray.experimental.tqdm_ray import RAY_TQDM_MAGIC, take_states

    for line in ('{"__magic_token__": "' + RAY_TQDM_MAGIC, f"I know {RAY_TQDM_MAGIC}"):
        assert take_states(line + "\n") == line + "\n"


# ---- others ----


def test_log_once():
    from ray_util import disable_log_once_globally, enable_periodic_logging, log_once

    assert log_once("a test's key") and not log_once("a test's key")
    disable_log_once_globally()
    assert not log_once("another key of a test")
    enable_periodic_logging()
    assert not log_once("one more key of a test")


def test_annotations():
    from importlib import import_module

    marks = import_module(f"{ray.__name__}.util.annotations")

    @marks.PublicAPI
    def stable():
        """Text."""

    @marks.PublicAPI(stability="beta")
    class Nearly:
        pass

    @marks.DeveloperAPI
    def inner():
        return 1

    @marks.Deprecated(message="Use another.", warning=True)
    def old():
        return 2

    @marks.Deprecated(warning=True)
    class Old:
        pass

    assert stable() is None and isinstance(Nearly(), Nearly) and inner() == 1
    with pytest.warns(marks.RayDeprecationWarning, match="Use another"):
        assert old() == 2
    with pytest.warns(marks.RayDeprecationWarning):
        Old()


@pytest.fixture(autouse=True)
def ray_util(monkeypatch):
    from importlib import import_module

    monkeypatch.setitem(sys.modules, "ray_util", import_module(f"{ray.__name__}.util"))


LOCK = threading.Lock()


def test_inspect_serializability(capsys):
    inspect = ray.util.inspect_serializability

    def uses_a_lock():
        return LOCK

    class Holds:
        def __init__(self):
            self.fine, self.bad = 1, LOCK

    held = Holds()
    assert inspect(3) == (True, set())
    good, failures = inspect(uses_a_lock, name="f")
    (failure,) = failures
    assert not good
    assert (failure.obj, failure.path, failure.parent) == (LOCK, ("f", "LOCK"), uses_a_lock)
    (failure,) = inspect(held, name="a")[1]
    assert (failure.obj, failure.path, failure.parent) == (LOCK, ("a", "bad"), held)
    (failure,) = inspect(LOCK)[1]
    assert (failure.path, failure.parent) == ((), None)
    (failure,) = inspect(held, name="a", depth=0)[1]
    assert (failure.obj, failure.path) == (held, ("a",))
    assert "FailTuple(bad [path=a -> bad" in repr(inspect(held, name="a")[1])
    assert "bad" in capsys.readouterr().out


@only_ours
def test_it_looks_into_containers(capsys):
    (failure,) = ray.util.inspect_serializability({"k": [1, LOCK]}, name="d")[1]
    assert failure.path == ("d", "['k']", "[1]")


def test_register_serializer(cluster):
    class Holder:
        def __init__(self, value):
            self.value = value
            self.lock = threading.Lock()

    ray.util.register_serializer(
        Holder, serializer=lambda holder: holder.value, deserializer=Holder
    )

    @ray.remote
    def value_of(holder):
        return holder.value

    assert ray.get(value_of.remote(Holder(7))) == 7
    assert ray.get(ray.put([Holder(8)]))[0].value == 8
    ray.util.deregister_serializer(Holder)
    ray.util.deregister_serializer(Holder)
    with pytest.raises(TypeError):
        value_of.remote(Holder(7))


def test_accelerators():
    from importlib import import_module

    names = import_module(f"{ray.__name__}.util.accelerators")
    assert (names.NVIDIA_A100, names.GOOGLE_TPU_V7X, names.APPLE_M3_MAX, names.METAX_C500) == (
        "A100",
        "TPU-V7X",
        "M3-Max",
        "MXC500",
    )
    with pytest.warns(DeprecationWarning, match="NVIDIA_A100"):
        assert names.NVIDIA_TESLA_A100 == "A100"


def test_actor_group(cluster):
    from importlib import import_module

    ActorGroup = import_module(f"{ray.__name__}.util.actor_group").ActorGroup

    class Member:
        def __init__(self, base, scale=1):
            self.base = base * scale

        def add(self, x):
            return self.base + x

        def get_actor_metadata(self):
            return "facts"

    group = ActorGroup(
        Member, num_actors=2, num_cpus_per_actor=0, init_args=(1,), init_kwargs={"scale": 10}
    )
    assert len(group) == 2 and group.actor_metadata == ["facts"] * 2
    assert ray.get(group.add.remote(5)) == [15, 15]
    assert ray.get(group[0].actor.add.remote(1)) == 11
    with pytest.raises(TypeError, match="cannot be called directly"):
        group.add(1)
    with pytest.raises(RuntimeError, match="already been started"):
        group.start()
    group.add_actors(1)
    group.remove_actors([0])
    assert len(group) == 2
    group.shutdown()
    with pytest.raises(RuntimeError, match="has been shutdown"):
        _ = group.add
    group.start()
    assert ray.get(group.add.remote(0)) == [10, 10]
    group.shutdown(patience_s=0)
    for options in ({"num_actors": 0}, {"num_cpus_per_actor": -1}):
        with pytest.raises(ValueError):
            ActorGroup(Member, **options)


UNENDED = """
from eagleray.experimental import tqdm_ray

bar = tqdm_ray.tqdm(total=10, desc="[train] [/x] loss", unit="[it]", flush_interval_s=0)
bar.update(3)
raise KeyboardInterrupt
"""


@only_ours
def test_a_bar_is_no_markup_and_gives_the_cursor_back():
    text = shown_in_a_terminal(UNENDED)
    assert "[train] [/x] loss" in text and "[it]" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
