"""An experiment whose driver is killed goes on: no finished result is lost, none is repeated, and the trials are those
that there would have been."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
from itertools import pairwise
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
    wait_for(lambda: (tmp_path / "began").exists())
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert f'name="killed", storage_path="{tmp_path}", resume=True' in output
    trials = ExperimentAnalysis(tmp_path / "killed").trials
    assert {trial.status for trial in trials} <= {"PAUSED", "PENDING", "TERMINATED"}
    assert all(trial.has_checkpoint for trial in trials if trial.status == "PAUSED")
    finish(tmp_path, resume=True)


def test_a_second_ctrl_c_waits_for_nobody(tmp_path):
    process = start(tmp_path, resume=False, seconds=3600)
    wait_for(lambda: running(tmp_path))
    process.send_signal(signal.SIGINT)
    for line in process.stdout:
        if "Once more: they do not" in line:
            break
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "resume=True" in output
    statuses = {trial.status for trial in ExperimentAnalysis(tmp_path / "killed").trials}
    assert statuses <= {"PAUSED", "PENDING"}


def running(directory):
    try:
        trials = ExperimentAnalysis(directory / "killed").trials
    except (FileNotFoundError, ValueError):
        return []
    return [trial for trial in trials if trial.status == "RUNNING"]


def test_the_journal_can_be_read_while_it_is_written(tmp_path):
    process = start(tmp_path, resume=False)
    seen = wait_for(lambda: finished_trials(tmp_path))
    assert seen
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output


OTHERS = """
import sys
import threading
import eagleray as ray
from eagleray import tune
from eagleray.tune import schedulers

class Climbs(tune.Trainable):
    def setup(self, config):
        self.count, self.value = 0, 0.0

    def step(self):
        self.count += 1
        self.value += self.config["x"]
        with open(self.config["began"], "a") as file:
            file.write(f"{self.trial_id} {self.count}\\n")
        return {"count": self.count, "value": self.value, "done": self.count >= STEPS}

    def save_checkpoint(self, checkpoint_dir):
        return {"count": self.count, "value": self.value}

    def load_checkpoint(self, checkpoint):
        self.count, self.value = checkpoint["count"], checkpoint["value"]

storage, resume, kind = sys.argv[1:4]
options = {"search_alg": tune.search.BasicVariantGenerator(random_state=7)}
if kind == "pbt":
    options["scheduler"] = schedulers.PopulationBasedTraining(
        time_attr="training_iteration", perturbation_interval=2, hyperparam_mutations={"x": tune.uniform(0, 1)})
elif kind == "hyperband":
    options["scheduler"] = schedulers.HyperBandScheduler(max_t=STEPS, reduction_factor=3)
else:
    options["search_alg"] = tune.search.ConcurrencyLimiter(tune.search.create_searcher("optuna", seed=1), 2)
ray.init(num_cpus=2)
tune.run(
    Climbs,
    name="killed",
    storage_path=storage,
    metric="value",
    mode="max",
    config={"x": tune.uniform(0, 1), "began": storage + "/began"},
    num_samples=TRIALS,
    checkpoint_freq=1,
    resume="AUTO" if resume == "resume" else False,
    verbose=0,
    **options,
)
""".replace("STEPS", str(STEPS)).replace("TRIALS", str(TRIALS))


def start_other(directory, resume, kind):
    return subprocess.Popen(
        [sys.executable, "-c", OTHERS, str(directory), "resume" if resume else "new", kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def whole_experiment(directory):
    """All trials with their results, after a look at what must hold whoever decides."""
    analysis = ExperimentAnalysis(directory / "killed")
    assert [trial.number for trial in analysis.trials] == list(range(TRIALS))
    assert len({trial.trial_id for trial in analysis.trials}) == TRIALS
    for trial in analysis.trials:
        rows = analysis.results_of(trial)
        assert trial.status == "TERMINATED"
        assert len(rows) == trial.reported
        lines = (Path(trial.local_path) / "result.json").read_text().splitlines()
        assert [json.loads(line)["value"] for line in lines] == [row["value"] for row in rows]
        assert all(a["value"] < b["value"] or a["count"] > 1 for a, b in pairwise(rows))
    return analysis


def kill_other(directory, kind, kills):
    process = start_other(directory, False, kind)
    seen = []
    for steps in kills:
        kill_when(directory, process, steps)
        ended = finished_trials(directory)
        seen.append((ended, began_of(directory, ended)))
        process = start_other(directory, True, kind)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    for ended, began in seen:
        assert began_of(directory, ended) == began, "what had ended did not run again"
    analysis = whole_experiment(directory)
    for ended, _ in seen:
        assert all(analysis.trials[number].reported == count for number, count in ended.items())
    return analysis


def steps_of_kills(seed):
    draw = random.Random(seed)
    first = draw.randrange(1, TRIALS * STEPS // 2)
    return [first, first + draw.randrange(1, 20)]


def check_pbt(analysis):
    # Who takes over from a trial that has ended takes one step more.
    assert all(STEPS <= trial.last_result["count"] <= STEPS + 1 for trial in analysis.trials)
    for trial in analysis.trials:
        assert 0 <= trial.config["x"] <= 1.2
        if (
            "@perturbed" not in trial.experiment_tag
        ):  # it is its own, from its first step to its last
            assert [row["count"] for row in analysis.results_of(trial)] == list(range(1, STEPS + 1))


def check_hyperband(analysis):
    lengths = sorted(trial.last_result["count"] for trial in analysis.trials)
    for trial in analysis.trials:
        counts = [row["count"] for row in analysis.results_of(trial)]
        assert counts == list(range(1, len(counts) + 1))
        assert trial.last_result["value"] == pytest.approx(trial.config["x"] * len(counts))
    assert lengths[-1] == STEPS and lengths[0] < STEPS


def check_optuna(analysis):
    state = pickle.loads(Journal.read(analysis.experiment_path).get("state:source"))
    told = state["searcher"]["searcher"]["_study"].get_trials()
    done = sorted(trial.value for trial in told if trial.state.name == "COMPLETE")
    assert done == pytest.approx(sorted(t.last_result["value"] for t in analysis.trials))
    for trial in analysis.trials:
        counts = [row["count"] for row in analysis.results_of(trial)]
        assert counts == list(range(1, STEPS + 1))


CHECKS = {"pbt": check_pbt, "hyperband": check_hyperband, "optuna": check_optuna}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", CHECKS)
def test_who_decides_goes_on_after_a_kill(tmp_path, kind, seed):
    if kind == "optuna":
        pytest.importorskip("optuna")
    CHECKS[kind](kill_other(tmp_path, kind, steps_of_kills(f"{kind}{seed}")))


@pytest.mark.long
@pytest.mark.parametrize("kind", CHECKS)
def test_40_kills_of_who_decides(tmp_path, kind):
    if kind == "optuna":
        pytest.importorskip("optuna")
    for number in range(20):
        directory = tmp_path / str(number)
        directory.mkdir()
        CHECKS[kind](kill_other(directory, kind, steps_of_kills(f"long {kind} {number}")))


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


class Twice(tune.Trainable):
    """Ends at `until`; fails in its second step while the file `broken` is there."""

    def setup(self, config):
        self.count = 0

    def step(self):
        self.count += 1
        directory = Path(self.config["directory"])
        if self.config["kind"] == "fails" and self.count == 2 and (directory / "broken").exists():
            raise ValueError("on purpose")
        until = int((directory / "until").read_text())
        return {"count": self.count, "done": self.count >= until}

    def save_checkpoint(self, checkpoint_dir):
        return {"count": self.count}

    def load_checkpoint(self, checkpoint):
        self.count = checkpoint["count"]


@pytest.mark.parametrize(
    ("config", "counts", "statuses"),
    [
        ({}, [[1, 2], [1], [1, 2, 3]], ["TERMINATED", "ERROR", "TERMINATED"]),
        ({"errored": "RESUME"}, [[1, 2], [1, 2, 3], [1, 2, 3]], ["TERMINATED"] * 3),
        ({"errored": "restart"}, [[1, 2], [1, 2, 3], [1, 2, 3]], ["TERMINATED"] * 3),
        (
            {"finished": "resume", "unfinished": "skip"},
            [[1, 2, 3], [1]],  # a result of the third may have been on its way
            ["TERMINATED", "ERROR", "TERMINATED"],
        ),
        (
            {"finished": tune.ResumeConfig.ResumeType.RESTART, "unfinished": "restart"},
            [[1, 2, 3], [1], [1, 2, 3]],
            ["TERMINATED", "ERROR", "TERMINATED"],
        ),
    ],
)
def test_each_kind_of_trial_becomes_what_the_resume_config_says(
    cluster, tmp_path, config, counts, statuses
):
    (tmp_path / "until").write_text("2")
    (tmp_path / "broken").touch()

    class Interrupts(tune.Callback):
        def on_trial_start(self, iteration, trials, trial, **info):
            if trial.config["kind"] == "late" and (tmp_path / "broken").exists():
                raise KeyboardInterrupt

    options = {
        "name": "kinds",
        "config": {
            "kind": tune.grid_search(["ends", "fails", "late"]),
            "directory": str(tmp_path),
        },
        "checkpoint_freq": 1,
        "max_concurrent_trials": 1,
        "raise_on_failed_trial": False,
        "callbacks": [Interrupts()],
        "verbose": 0,
    }
    first = tune.run(Twice, **options)
    assert [trial.status for trial in first.trials][:2] == ["TERMINATED", "ERROR"]
    assert not first.trials[2].is_finished()
    (tmp_path / "broken").unlink()
    (tmp_path / "until").write_text("3")
    analysis = tune.run(Twice, **options, resume_config=tune.ResumeConfig(**config))
    again = ExperimentAnalysis(tmp_path / "kinds")
    for one in (analysis, again):
        assert [trial.status for trial in one.trials] == statuses
        looked_at = one.trials[: len(counts)]
        assert [[row["count"] for row in one.results_of(t)] for t in looked_at] == counts
    lines = [Path(t.local_path, "result.json") for t in again.trials]
    said = [len(file.read_text().splitlines()) for file in lines[: len(counts)]]
    assert said == list(map(len, counts))


def test_a_resume_that_cannot_be_is_refused(cluster):
    with pytest.raises(ValueError, match=r"finished=.*'resume', 'restart' or 'skip'"):
        tune.ResumeConfig(finished="again")
    for resume in ("SOMETIMES", "AUTO+NEVER"):
        with pytest.raises(ValueError, match="resume must be"):
            tune.run(Twice, name="none", resume=resume, verbose=0)


def test_a_damaged_journal_is_said(tmp_path):
    (tmp_path / "experiment.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match="damaged"):
        Journal.open(tmp_path)
