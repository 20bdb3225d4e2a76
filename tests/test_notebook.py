"""In a notebook: what tasks print appears under the cell that runs, interrupts, restarts, tables, reloaded modules."""

import os

import pytest
from _support import PEER, alive, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="looks at our output")
nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")


def run(*cells):
    """The cells of a notebook, after a kernel has run them."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    client = nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3")
    client.execute(env={**os.environ, "PYTHONPATH": os.path.abspath("python")})
    return notebook.cells


def outputs(*cells):
    """What each cell of a notebook prints."""
    return ["".join(o.get("text", "") for o in cell["outputs"]) for cell in run(*cells)]


def test_output_is_under_its_cell():
    _, define, first, second, later, third, fourth, end = outputs(
        "import asyncio, eagleray as ray; context = ray.init(num_cpus=2)",
        """
@ray.remote
def speak(text):
    print(text)

@ray.remote
class Actor:
    def speak(self, text):
        print(text)

@ray.remote
class Gate:
    def __init__(self):
        self.event = asyncio.Event()

    async def open(self):
        self.event.set()

    async def speak_when_open(self, text):
        await self.event.wait()
        print(text)

    async def speak_and_wait(self, text):
        print(text)
        await asyncio.sleep(1000)

actor, gate = Actor.remote(), Gate.remote()""",
        "ray.get([speak.remote('first'), actor.speak.remote('of an actor')])",
        "ray.get([speak.remote('second')]); print('of the cell')",
        "slow = gate.speak_when_open.remote('third')",
        "ray.get([gate.open.remote(), slow])",
        # Printed by the log thread, while the cell waits.
        "print(ray.wait([gate.speak_and_wait.remote('fourth')], timeout=1)[0])",
        "ray.shutdown()",
    )
    assert define == end == later == ""
    assert "speak pid=" in first and ") first\n" in first and "(Actor pid=" in first
    assert "second" not in first
    assert ") second" in second and "of the cell" in second and "first" not in second
    assert ") third\n" in third and ") fourth\n" in fourth


def test_a_notebook_can_begin_again():
    first, second = outputs(
        """
import eagleray as ray
ray.init(num_cpus=1)
ray.get(ray.remote(lambda: print("once")).remote())
ray.shutdown()""",
        """
ray.init(num_cpus=1)
ray.get(ray.remote(lambda: print("again")).remote())
ray.shutdown()""",
    )
    assert first.count("once") == 1 and second.count("again") == 1


def test_tune_shows_one_table_in_its_cell(tmp_path):
    start, search, after = run(
        f"""
import eagleray as ray
from eagleray import tune
ray.init(num_cpus=2)

def train(config):
    for step in range(3):
        tune.report(loss=config["x"] + step)
    if config["x"] == 2:
        raise ValueError("on <purpose>")

options = dict(
    config={{"x": tune.grid_search([1, 2, 3]), "kind": tune.choice(["<b>"])}},
    metric="loss",
    mode="min",
    verbose=1,
    storage_path={str(tmp_path)!r},
    raise_on_failed_trial=False,
)""",
        "analysis = tune.run(train, **options)",
        "print(analysis.best_config['x']); ray.shutdown()",
    )
    shown = [
        one["data"]["text/html"] for one in search["outputs"] if "text/html" in one.get("data", {})
    ]
    assert len(shown) == 1, "reports take the place of the ones before"
    (html,) = shown
    assert html.count("<tr>") == html.count("</tr>") == 1 + 3 + 1 + 1  # trials, failures
    assert "Number of trials: 3/3 (1 ERROR, 2 TERMINATED)" in html
    for header in ("Trial name", "status", "loc", "x", "loss"):
        assert f"<th>{header}</th>" in html
    assert "&lt;b&gt;" in html and "<b>" not in html, "what a program gives is no HTML"
    assert "Number of errored trials: 1" in html
    text = "".join(one.get("text", "") for one in search["outputs"])
    assert "== Status ==" not in text and "+----" not in text, "no text table beside it"
    assert after["outputs"][0]["text"] == "1\n"


def outputs_of(*cells):
    """The outputs of each cell, as nbformat has them."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    client = nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3")
    client.execute(env={**os.environ, "PYTHONPATH": os.path.abspath("python")})
    return [cell["outputs"] for cell in notebook.cells]


def html_of(outputs):
    return "".join(o["data"]["text/html"] for o in outputs if "text/html" in o.get("data", {}))


def test_contexts_and_tables_are_html():
    context, rows, other, end = outputs_of(
        "import eagleray as ray; ray.init(num_cpus=3)",
        "from eagleray.widgets._html import Rows; Rows([{'a': 1, 'b': '<i>'}, {'a': 2, 'c': None}])",
        """
from eagleray.widgets import Template, make_table_html_repr
from IPython.display import HTML
class Thing: pass
thing = Thing(); thing.name, thing.inner = "<b>", {"k": 1}
HTML(Template("<p>{{ x }}</p>").render(x=["1", "2"]) + make_table_html_repr(thing, title="T&T"))""",
        "ray.shutdown()",
    )
    assert "<td style='text-align:left'>CPU</td><td style='text-align:left'>3</td>" in html_of(
        context
    )
    assert "eagleray version" in html_of(context) and not end
    table = html_of(rows)
    assert table.count("<tr>") == 3 and "&lt;i&gt;" in table and ">c<" not in table
    table = html_of(other)
    assert "<p>12</p>" in table and "T&amp;T" in table and "&lt;b&gt;" in table and "k: 1" in table


def test_progress_is_html_in_place():
    shown, end = outputs_of(
        """
import eagleray as ray
ray.init(num_cpus=2)
refs = [ray.remote(lambda x: x).remote(i) for i in range(5)]
print(len(ray.util.progress(refs) or refs))""",
        "ray.shutdown()",
    )
    bars = [o for o in shown if "<progress" in str(o.get("data", {}).get("text/html"))]
    assert len(bars) == 1 and "5" in bars[0]["data"]["text/html"], shown


def test_functions_that_autoreload_has_read_again_are_exported_again(tmp_path):
    module = tmp_path / "changing.py"
    module.write_text(
        "def value():\n    return 'old'\nclass Thing:\n    def value(self):\n        return 'old'\n"
    )
    change = (
        f"import os; path = {str(module)!r}; text = open(path).read().replace('old', 'new'); "
        "open(path, 'w').write(text); s = os.stat(path); os.utime(path, (s.st_atime, s.st_mtime + 10))"
    )
    use = """
@ray.remote
def by_module():
    return changing.value()
print(ray.get([f.remote(), by_module.remote(), Thing.remote().value.remote()]))"""
    *_, before, _, after, again, end = outputs(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})",
        "import eagleray as ray; ray.init(num_cpus=2)",
        "%load_ext autoreload\n%autoreload 2",
        "import changing; f = ray.remote(changing.value); Thing = ray.remote(changing.Thing)",
        use,
        change,
        use,
        "print(ray.get(f.remote()))",
        "ray.shutdown()",
    )
    assert before.strip() == "['old', 'old', 'old']"
    assert after.strip() == "['new', 'new', 'new']" and again.strip() == "new"


@pytest.fixture
def kernel():
    """A kernel of its own, and how to run a cell: its output, and the name of its exception or None."""
    manager = pytest.importorskip("jupyter_client").KernelManager(kernel_name="python3")
    manager.start_kernel(env={**os.environ, "PYTHONPATH": os.path.abspath("python")})
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)

    def execute(code, meanwhile=None):
        said = []

        def hook(message):
            if message["msg_type"] == "stream":
                said.append(message["content"]["text"])
                if meanwhile is not None and "waits" in "".join(said):
                    meanwhile()

        reply = client.execute_interactive(code, timeout=60, output_hook=hook)
        return "".join(said), reply["content"].get("ename")

    yield manager, execute
    client.stop_channels()
    manager.shutdown_kernel(now=True)


START = """
import eagleray as ray, os, threading
context = ray.init(num_cpus=2)

@ray.remote
class Waiting:
    def pid(self):
        return os.getpid()
    def wait(self):
        threading.Event().wait()

actor = Waiting.remote()
print(ray.get(actor.pid.remote()), context["session_dir"])
"""


def test_an_interrupted_cell_leaves_the_cluster_usable(kernel):
    manager, execute = kernel
    execute(START)
    interrupted = []

    def interrupt():
        if not interrupted:
            interrupted.append(manager.interrupt_kernel())

    for wait in ("ray.get(ref)", "ray.wait([ref])"):  # ipykernel itself loses some in an `await`
        interrupted.clear()
        said, error = execute(
            f"ref = actor.wait.remote(); print('waits', flush=True); {wait}", interrupt
        )
        assert error in ("KeyboardInterrupt", "CancelledError"), (wait, said)
        said, error = execute("print(ray.get(ray.remote(lambda: 42).remote()))")
        assert "42\n" in said and error is None, (wait, said, error)


@pytest.mark.parametrize("how", ["restart", "killed"])
def test_a_kernel_that_begins_again_leaves_nothing(kernel, how):
    manager, execute = kernel
    said, _ = execute(START)
    pid, session = said.split()
    assert alive(int(pid))
    if how == "restart":
        manager.restart_kernel(now=False)
    else:
        manager.shutdown_kernel(now=True)
    wait_for(lambda: not alive(int(pid)))
    wait_for(lambda: not processes_of(session))


def processes_of(session):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if session.encode() in file.read() and alive(int(name)):
                    found.append(int(name))
        except OSError:
            continue
    return found
