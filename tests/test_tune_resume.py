"""An experiment whose driver is killed goes on: no finished result is lost, none is repeated, and the trials are those
that there would have been."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from _support import ray, wait_for
from eagleray import tune
from eagleray.tune.analysis import ExperimentAnalysis
from eagleray.tune.execution.journal import Journal

pytestmark = pytest.mark.only_eagleray

TRIALS = 6
STEPS = 8
PROGRAM = """
import sys
import threading
import eagleray as ray
from eagleray import tune

class Counter(tune.Trainable):
    def setup(self, config):
        self.count = 0

    def step(self):
        self.count += 1
        threading.Event().wait(self.config["seconds"])
        with open(self.config["began"], "a") as file:
            file.write(f"{self.trial_id} {self.count}\\n")
        return {"count": self.count, "value": self.config["x"] * self.count, "done": self.count >= STEPS}

    def save_checkpoint(self, checkpoint_dir):
        return {"count": self.count}

    def load_checkpoint(self, checkpoint):
        self.count = checkpoint["count"]

storage, resume = sys.argv[1], sys.argv[2] == "resume"
ray.init(num_cpus=2)
tune.run(
    Counter,
    name="killed",
    storage_path=storage,
    config={"x": tune.uniform(0, 1), "g": tune.grid_search([1, 2, 3]), "began": storage + "/began", "seconds": float(sys.argv[3])},
    num_samples=TRIALS // 3,
    checkpoint_freq=3,
    resume="AUTO" if resume else False,
    search_alg=tune.search.BasicVariantGenerator(random_state=7),
    verbose=1,
)
""".replace("STEPS", str(STEPS)).replace("TRIALS", str(TRIALS))


def start(directory, resume, seconds=0):
    """The program, with steps that take so long."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            PROGRAM,
            str(directory),
            "resume" if resume else "new",
            str(seconds),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(directory, resume):
    process = start(directory, resume)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output


def results_of(directory):
    analysis = ExperimentAnalysis(directory / "killed")
    found = {}
    for trial in analysis.trials:
        assert trial.status == "TERMINATED"
        lines = (Path(trial.local_path) / "result.json").read_text().splitlines()
        values = [json.loads(line)["value"] for line in lines]
        in_journal = [row["value"] for row in analysis.results_of(trial)]
        assert values == in_journal, "the file and the journal tell the same"
        csv = (Path(trial.local_path) / "progress.csv").read_text().splitlines()
        assert len(csv) == len(values) + 1
        found[trial.number] = (trial.config["x"], trial.config["g"], values)
    return found


def kill_when(directory, process, steps):
    """SIGKILL of the driver when its trials have begun so many steps."""
    began = directory / "began"
    wait_for(
        lambda: (
            process.poll() is not None
            or (began.exists() and len(began.read_text().splitlines()) >= steps)
        ),
        30,
    )
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("undisturbed")
    finish(directory, resume=False)
    return results_of(directory)


def killed_and_resumed(directory, undisturbed, kills):
    process = start(directory, resume=False)
    seen = []
    for steps in kills:
        kill_when(directory, process, steps)
        ended = finished_trials(directory)
        seen.append((ended, began_of(directory, ended)))
        process = start(directory, resume=True)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert results_of(directory) == undisturbed
    for ended, began in seen:
        assert began_of(directory, ended) == began, "what had ended did not run again"


def began_of(directory, numbers):
    """Steps that trials of these numbers have begun."""
    lines = (directory / "began").read_text().splitlines() if numbers else []
    return [line for line in lines if int(line.split()[0].rsplit("_", 1)[1]) in numbers]


def finished_trials(directory):
    try:
        analysis = ExperimentAnalysis(directory / "killed")
    except (FileNotFoundError, ValueError):
        return {}
    return {t.number: t.reported for t in analysis.trials if t.status == "TERMINATED"}


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_driver_s_experiment_goes_on(tmp_path, undisturbed, seed):
    steps = random.Random(seed).randrange(1, TRIALS * STEPS)
    killed_and_resumed(tmp_path, undisturbed, [steps])


@pytest.mark.long
def test_200_random_kills(tmp_path, undisturbed):
    generator = random.Random(1)
    for number in range(100):
        directory = tmp_path / str(number)
        directory.mkdir()
        first = generator.randrange(1, TRIALS * STEPS)
        killed_and_resumed(directory, undisturbed, [first, first + generator.randrange(1, 20)])


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    process = start(tmp_path, resume=False, seconds=0.1)
    wait_for(lambda: (tmp_path / "began").exists(), 30)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert f'name="killed", storage_path="{tmp_path}", resume=True' in output
    trials = ExperimentAnalysis(tmp_path / "killed").trials
    assert {trial.status for trial in trials} <= {"PAUSED", "PENDING", "TERMINATED"}
    assert all(trial.has_checkpoint for trial in trials if trial.status == "PAUSED")
    finish(tmp_path, resume=True)


def test_the_journal_can_be_read_while_it_is_written(tmp_path):
    process = start(tmp_path, resume=False)
    seen = wait_for(lambda: finished_trials(tmp_path), 30)
    assert seen
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNE_RESULT_DIR", str(tmp_path))
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


def test_the_tuner_restores_with_what_it_was_given(cluster, tmp_path):
    def train(config):
        if config["x"] == 2 and not os.path.exists(config["marker"]):
            open(config["marker"], "w").close()
            raise ValueError("on purpose")
        tune.report(loss=config["x"])

    grid = tune.Tuner(
        train,
        param_space={"x": tune.grid_search([1, 2, 3]), "marker": str(tmp_path / "marker")},
        tune_config=tune.TuneConfig(metric="loss", mode="min"),
        run_config=tune.RunConfig(name="restored", verbose=0),
    ).fit()
    assert grid.num_errors == 1
    path = grid.experiment_path
    assert tune.Tuner.can_restore(path)
    again = tune.Tuner.restore(path, train).fit()
    assert again.num_errors == 1, "failed ones stay failed unless it is asked for"
    last = tune.Tuner.restore(path, train, resume_errored=True).fit()
    assert (last.num_errors, len(last)) == (0, 3)
    assert last.get_best_result().config["x"] == 1


def test_a_damaged_journal_is_said(tmp_path):
    (tmp_path / "experiment.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match="damaged"):
        Journal.open(tmp_path)
