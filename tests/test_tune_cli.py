"""`eagleray tune`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from _support import ray
from click.testing import CliRunner
from eagleray import tune
from eagleray._cli import cli

pytestmark = pytest.mark.only_eagleray


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    directory = tmp_path_factory.mktemp("results")

    def train(config):
        for step in range(3):
            tune.report(loss=config["x"] / (step + 1))
        if config["x"] == 3:
            raise ValueError("on purpose")

    ray.init(num_cpus=2)
    tune.run(
        train,
        name="exp",
        storage_path=str(directory),
        config={"x": tune.grid_search([2, 1, 3])},
        metric="loss",
        mode="min",
        raise_on_failed_trial=False,
        verbose=0,
    )
    ray.shutdown()
    return directory


@pytest.fixture
def eagleray(experiment, monkeypatch, tmp_path):
    monkeypatch.setenv("TUNE_RESULT_DIR", str(experiment))
    monkeypatch.chdir(tmp_path)

    def call(*arguments, status=0):
        result = CliRunner().invoke(cli, ["tune", *arguments])
        assert result.exit_code == status, result.output
        return result.output

    return call


def test_ls_and_show(eagleray):
    assert json.loads(eagleray("ls", "--json"))[0]["trials"] == 3
    assert "exp" in eagleray("ls")
    shown = eagleray("show", "exp")
    assert shown.count("TERMINATED") == 2
    assert "Number of errored trials: 1" in shown
    ordered = json.loads(eagleray("show", "exp", "--sort", "loss", "--json"))
    assert [row["config"]["x"] for row in ordered] == [1, 2, 3]


def test_best(eagleray):
    assert json.loads(eagleray("best", "exp", "--json"))["config"] == {"x": 1}
    assert "x: 3" in eagleray("best", "exp", "--mode", "max", "--scope", "all")
    assert "has reported 'none'" in eagleray("best", "exp", "-m", "none", status=1)


def test_plot_draws_a_picture(eagleray, tmp_path):
    pytest.importorskip("matplotlib")
    assert eagleray("plot", "exp").strip() == "exp.png"
    assert (tmp_path / "exp.png").read_bytes().startswith(b"\x89PNG")


def test_the_pictures_of_the_docs_can_be_made_again(tmp_path):
    pytest.importorskip("matplotlib")
    script = Path(__file__).parents[1] / "examples" / "tune_pictures.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, timeout=100)
    for name in ("tune-asha.png", "tune-pbt.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_what_is_not_there_is_said(eagleray):
    assert "eagleray tune ls" in eagleray("show", "none", status=1)
    assert "There are no experiments" in eagleray("ls", "/nowhere")


def test_best_shows_the_value_that_counted(eagleray):
    assert json.loads(eagleray("best", "exp", "--scope", "avg", "--json"))[
        "value"
    ] == pytest.approx(11 / 18)
    assert json.loads(eagleray("best", "exp", "--scope", "all", "--json"))[
        "value"
    ] == pytest.approx(1 / 3)


def test_show_sorts_before_it_cuts(eagleray):
    shown = eagleray("show", "exp", "--sort", "loss", "--desc", "--limit", "1")
    assert "x=3" in shown or "ERROR" in shown
    assert "2 more trials not shown" in shown and "TERMINATED" not in shown
