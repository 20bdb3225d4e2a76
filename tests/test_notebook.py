"""In a notebook, what tasks print appears under the cell that runs."""

import os

import pytest
from _support import PEER

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
