"""The notebook of the article that eagleray exists for (docs/user/article.md), run as a notebook."""

import json
import os
import re
from pathlib import Path

import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our documents")
nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
pytest.importorskip("gymnasium")

ROOT = Path(__file__).parents[1]
CELLS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/user/article.md").read_text(), re.S)
FACTS = """
import json
print(json.dumps({
    "slept": slept,
    "best": best,
    "rows": len(df),
    "rewards": rewards,
    "corridor": corridor.trials[0].last_result["episode_reward_mean"],
    "workers": corridor.trials[0].last_result["num_healthy_workers"],
    "missing": missing,
}))
ray.shutdown()
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """What the cells found, in one kernel, in their order."""
    home = tmp_path_factory.mktemp("home")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in [*CELLS, FACTS]]
    )
    client = nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3")
    client.execute(env={**os.environ, "PYTHONPATH": str(ROOT / "python"), "HOME": str(home)})
    (text,) = [o["text"] for o in notebook.cells[-1]["outputs"] if o.get("name") == "stdout"]
    return json.loads(text.strip().splitlines()[-1])


def test_ten_tasks_sleep(facts):
    assert facts["slept"] == 10


def test_the_best_parameters_are_found(facts):
    assert facts["best"]["alpha"] == 0.1
    assert facts["rows"] == 3


def test_ppo_learns_with_one_of_three_rates(facts):
    assert set(facts["rewards"]) == {"0.01", "0.001", "0.0001"}
    assert max(facts["rewards"].values()) >= 60


def test_a_corridor_is_walked_by_sixteen_workers(facts):
    assert facts["workers"] == 16
    assert facts["corridor"] > 0.4


def test_what_is_missing_says_so_with_what_there_is(facts):
    impala, alpha_zero = facts["missing"]
    assert "'IMPALA' is not implemented" in impala
    assert "PPO" in impala
    assert "'contrib/AlphaZero' is not implemented" in alpha_zero
