"""Experiments: which trials there are, what becomes of them, what is kept and shown."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from _support import ray
from eagleray import tune
from eagleray.tune.schedulers import TrialScheduler

pytestmark = [pytest.mark.only_eagleray, pytest.mark.usefixtures("results")]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=4)
    yield
    ray.shutdown()


def train(config):
    for step in range(3):
        tune.report(loss=config["x"] + step)


class Counter(tune.Trainable):
    def setup(self, config):
        self.count = config.get("start", 0)

    def step(self):
        self.count += 1
        if self.count == self.config.get("fail_at"):
            marker = Path(self.config["marker"])
            if not marker.exists():
                marker.touch()
                raise RuntimeError("on purpose")
        return {"count": self.count, "done": self.count >= self.config.get("until", 3)}

    def save_checkpoint(self, checkpoint_dir):
        return {"count": self.count}

    def load_checkpoint(self, checkpoint):
        self.count = checkpoint["count"]


def rows(trial):
    return [json.loads(line) for line in open(f"{trial.local_path}/result.json")]


def test_a_grid_times_samples_with_the_best_config(capsys):
    analysis = tune.run(
        train,
        config={"x": tune.grid_search([3, 1, 2]), "fixed": {"lr": tune.uniform(0.1, 0.2)}},
        num_samples=2,
        metric="loss",
        mode="min",
    )
    assert [trial.config["x"] for trial in analysis.trials] == [3, 1, 2, 3, 1, 2]
    assert all(0.1 <= trial.config["fixed"]["lr"] <= 0.2 for trial in analysis.trials)
    assert analysis.best_config["x"] == 1
    assert analysis.best_result["loss"] == 3
    assert analysis.best_trial.evaluated_params["x"] == 1
    assert set(analysis.best_trial.evaluated_params) == {"x", "fixed/lr"}
    assert analysis.best_result_df.index.name == "trial_id"
    printed = capsys.readouterr().out
    assert "Number of trials: 6/6 (6 TERMINATED)" in printed
    assert f"Result for {analysis.trials[0]}:" in printed
    assert "Total run time:" in printed


def test_files_of_a_trial_are_where_ray_has_them(results):
    analysis = tune.run(train, config={"x": 1}, name="files", verbose=0)
    (trial,) = analysis.trials
    directory = results / "files" / trial.dirname
    assert [row["loss"] for row in rows(trial)] == [1, 2, 3]
    assert rows(trial)[0]["config"] == {"x": 1}
    lines = (directory / "progress.csv").read_text().splitlines()
    assert lines[0].split(",")[0] == "loss"
    assert len(lines) == 4
    assert "config" not in lines[0], "as in Ray, it is in params.json"
    assert json.loads((directory / "params.json").read_text()) == {"x": 1}
    assert (directory / "params.pkl").exists()


@pytest.mark.parametrize(
    ("stop", "count"),
    [
        ({"training_iteration": 2}, 2),
        ({"count": 4}, 4),
        (lambda trial_id, result: result["count"] == 3, 3),
        (tune.stopper.MaximumIterationStopper(5), 5),
        ([{"count": 7}, tune.stopper.MaximumIterationStopper(6)], 6),
    ],
)
def test_trials_stop_when_they_are_told(stop, count):
    analysis = tune.run(Counter, config={"until": 100}, stop=stop, verbose=0)
    assert analysis.trials[0].last_result["count"] == count
    assert analysis.trials[0].last_result["done"] is True


def test_a_metric_that_results_lack_is_an_error_that_names_those_there_are():
    with pytest.raises(ValueError, match=r"'score'.*loss"):
        tune.run(train, config={"x": 1}, metric="score", mode="max", verbose=0)


def test_a_stop_that_asks_for_what_results_lack_is_said_once(caplog):
    analysis = tune.run(Counter, stop={"score": 1}, verbose=0)
    assert analysis.trials[0].last_result["count"] == 3
    assert caplog.text.count("stop asks for 'score'") == 1
    assert "count" in caplog.text


def test_a_failed_trial_is_raised_or_in_the_analysis(results):
    def fails(config):
        tune.report(loss=1)
        if config["x"]:
            raise ValueError("on purpose")

    space = {"x": tune.grid_search([0, 1])}
    with pytest.raises(tune.TuneError, match=r"(?s)1 of 2 trials have failed.*on purpose"):
        tune.run(fails, config=space, verbose=0)
    analysis = tune.run(fails, config=space, verbose=0, raise_on_failed_trial=False)
    good, bad = analysis.trials
    assert (good.status, bad.status) == ("TERMINATED", "ERROR")
    assert "ValueError: on purpose" in Path(bad.error_file).read_text()


def test_a_trial_that_fails_goes_on_from_its_checkpoint(tmp_path, caplog):
    analysis = tune.run(
        Counter,
        config={"until": 6, "fail_at": 5, "marker": str(tmp_path / "failed")},
        checkpoint_freq=2,
        max_failures=1,
        verbose=0,
    )
    (trial,) = analysis.trials
    assert (trial.status, trial.num_failures) == ("TERMINATED", 1)
    assert [row["count"] for row in rows(trial)] == [1, 2, 3, 4, 5, 6]
    assert [row["training_iteration"] for row in rows(trial)] == [1, 2, 3, 4, 5, 6]
    assert "from its checkpoint of iteration 4" in caplog.text


def test_results_after_the_checkpoint_are_said_once(tmp_path):
    analysis = tune.run(
        Counter,
        config={"until": 6, "fail_at": 6, "marker": str(tmp_path / "failed")},
        checkpoint_freq=4,
        max_failures=-1,
        verbose=0,
    )
    (trial,) = analysis.trials
    assert [row["count"] for row in rows(trial)] == [1, 2, 3, 4, 5, 6]
    csv = (Path(trial.local_path) / "progress.csv").read_text().splitlines()
    assert len(csv) == 7


def test_a_damaged_checkpoint_is_passed_over(tmp_path, caplog):
    class Spoils(Counter):
        def step(self):
            marker = Path(self.config["marker"])
            if self.count == 4 and not marker.exists():
                (Path(self.logdir) / "checkpoint_000004" / ".checkpoint_data.pkl").write_bytes(
                    b"spoilt"
                )
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().step()

    analysis = tune.run(
        Spoils,
        config={"until": 5, "marker": str(tmp_path / "killed")},
        checkpoint_freq=2,
        max_failures=1,
        verbose=0,
    )
    assert [row["count"] for row in rows(analysis.trials[0])] == [1, 2, 3, 4, 5]
    assert "it goes on from its checkpoint of iteration 2" in caplog.text
    assert "is not as it was written" in caplog.text


def test_the_best_checkpoints_are_kept(results):
    analysis = tune.run(
        Counter,
        config={"until": 6},
        checkpoint_config=tune.CheckpointConfig(
            num_to_keep=2,
            checkpoint_score_attribute="count",
            checkpoint_score_order="min",
            checkpoint_frequency=1,
        ),
        metric="count",
        mode="min",
        verbose=0,
    )
    (trial,) = analysis.trials
    left = sorted(path.name for path in Path(trial.local_path).glob("checkpoint_*"))
    assert left == ["checkpoint_000001", "checkpoint_000002", "checkpoint_000006"]
    assert analysis.best_checkpoint.to_dict() == {"count": 1}


def test_fail_fast_ends_the_others():
    def waits(config):
        if config["x"] == 0:
            raise ValueError("on purpose")
        for step in range(10**6):
            tune.report(step=step)

    analysis = tune.run(
        waits,
        config={"x": tune.grid_search([0, 1])},
        fail_fast=True,
        raise_on_failed_trial=False,
        verbose=0,
    )
    assert [trial.status for trial in analysis.trials] == ["ERROR", "TERMINATED"]
    with pytest.raises(ValueError, match="on purpose"):
        tune.run(waits, config={"x": tune.grid_search([0, 1])}, fail_fast="raise", verbose=0)


def test_trials_that_need_more_than_there_is_say_so(caplog):
    class Patience(tune.stopper.Stopper):
        def __call__(self, trial_id, result):
            return False

        def stop_all(self):
            return "cannot be placed" in caplog.text

    analysis = tune.run(
        train, config={"x": 1}, resources_per_trial={"cpu": 64}, stop=Patience(), verbose=0
    )
    assert "it asks for 64 CPU (there are 4)" in caplog.text
    assert analysis.trials[0].status == "TERMINATED"


def test_trials_run_beside_each_other_as_far_as_resources_go(tmp_path):
    running = tmp_path / "running"
    running.mkdir()

    def counts(config):
        mine = running / tune.get_trial_id()
        mine.touch()
        tune.report(together=len(list(running.iterdir())))
        mine.unlink()
        tune.report(together=0)

    analysis = tune.run(
        counts,
        num_samples=6,
        resources_per_trial=tune.PlacementGroupFactory([{"CPU": 1}, {"CPU": 1}]),
        verbose=0,
    )
    assert max(row["together"] for trial in analysis.trials for row in rows(trial)) <= 2


def test_one_process_runs_one_trial_after_another_where_it_may():
    def where(config):
        return {"process": os.getpid()}

    for reuse, processes in ((True, 1), (False, 5)):
        analysis = tune.run(
            where, num_samples=5, max_concurrent_trials=1, reuse_actors=reuse, verbose=0
        )
        assert len({trial.last_result["process"] for trial in analysis.trials}) == processes


def test_a_scheduler_decides():
    class StopsOdd(TrialScheduler):
        def on_trial_result(self, controller, trial, result):
            return self.STOP if trial.config["x"] % 2 else self.CONTINUE

        def choose_trial_to_run(self, controller):
            waiting = [t for t in controller.get_trials() if t.status == "PENDING"]
            return max(waiting, key=lambda trial: trial.config["x"], default=None)

    analysis = tune.run(
        train, config={"x": tune.grid_search([1, 2, 3])}, scheduler=StopsOdd(), verbose=0
    )
    assert [len(rows(trial)) for trial in analysis.trials] == [1, 3, 1]


def test_a_paused_trial_goes_on_from_where_it_was():
    class PausesOnce(TrialScheduler):
        def __init__(self):
            self.paused = set()

        def on_trial_result(self, controller, trial, result):
            if result["count"] == 2 and trial not in self.paused:
                self.paused.add(trial)
                return self.PAUSE
            return self.CONTINUE

        def choose_trial_to_run(self, controller):
            waiting = [*controller.pending_trials(), *controller.paused_trials()]
            return waiting[0] if waiting else None

    scheduler = PausesOnce()
    analysis = tune.run(Counter, config={"until": 4}, scheduler=scheduler, verbose=0)
    assert scheduler.paused
    assert [row["count"] for row in rows(analysis.trials[0])] == [1, 2, 3, 4]


def test_callbacks_hear_of_everything():
    heard = []

    class Hears(tune.Callback):
        def setup(self, **info):
            heard.append(("setup", info["total_num_samples"]))

        def on_trial_start(self, iteration, trials, trial, **info):
            heard.append("start")

        def on_trial_result(self, iteration, trials, trial, result, **info):
            heard.append(result["count"])

        def on_checkpoint(self, iteration, trials, trial, checkpoint, **info):
            heard.append(checkpoint.to_dict())

        def on_trial_complete(self, iteration, trials, trial, **info):
            heard.append("complete")

        def on_experiment_end(self, trials, **info):
            heard.append(("end", len(trials)))

    tune.run(Counter, config={"until": 2}, checkpoint_at_end=True, callbacks=[Hears()], verbose=0)
    assert heard == [("setup", 1), "start", 1, 2, {"count": 2}, "complete", ("end", 1)]


def test_the_tuner_gives_a_grid_of_results():
    grid = tune.Tuner(
        tune.with_resources(train, {"cpu": 2}),
        param_space={"x": tune.grid_search([2, 1])},
        tune_config=tune.TuneConfig(metric="loss", mode="min"),
        run_config=tune.RunConfig(name="grid", verbose=0),
    ).fit()
    assert len(grid) == 2
    assert grid.get_best_result().config == {"x": 1}
    assert grid.num_errors == 0
    assert Path(grid.experiment_path).name == "grid"


def test_objects_are_given_to_all_trials_once():
    def sums(config, data):
        return {"sum": sum(data) * config["x"]}

    data = list(range(10))
    analysis = tune.run(
        tune.with_parameters(sums, data=data), config={"x": tune.grid_search([1, 2])}, verbose=0
    )
    assert [trial.last_result["sum"] for trial in analysis.trials] == [45, 90]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"num_samples": 0}, ValueError, "num_samples"),
        ({"mode": "best"}, ValueError, "mode must be"),
        ({"stop": 3}, ValueError, "stop must be"),
        ({"config": [1]}, ValueError, "dictionary|dict"),
        ({"scheduler": "none such"}, ValueError, "no scheduler is called"),
        ({"search_alg": "none such"}, ValueError, "no searcher is called"),
        ({"resume": "SOMETIMES", "name": "a"}, ValueError, "resume must be"),
        ({"resume": True, "name": "none such"}, ValueError, "no experiment to resume"),
        ({"keep_checkpoints_num": 0}, ValueError, "at least one checkpoint"),
        ({"callbacks": [3]}, ValueError, "callbacks must be"),
        ({"max_concurrent_trials": -1}, ValueError, "max_concurrent_trials must be positive"),
    ],
)
def test_what_cannot_be_is_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        tune.run(train, **{"config": {"x": 1}, "verbose": 0, **arguments})


def test_an_unknown_trainable_is_refused_by_name():
    with pytest.raises(ValueError, match="no trainable is registered as 'none_such'"):
        tune.run("none_such")


def test_a_full_disk_does_not_end_the_trials(tmp_path, caplog):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", small])
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:

        def fills(config):
            for step in range(200):
                tune.report(step=step, text="x" * 3000)

        analysis = tune.run(fills, storage_path=str(small), name="full", verbose=0)
        assert analysis.trials[0].last_result["step"] == 199
        for what in ("JsonLoggerCallback", "CSVLoggerCallback", "the journal of the experiment"):
            assert f"{what} cannot" in caplog.text
        assert caplog.text.count("cannot be written") == 1, "it is said once"
    finally:
        subprocess.run(["umount", "-l", small], check=True)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"time_budget_s": "long"}, "a number of seconds or a timedelta, not 'long'"),
        ({"checkpoint_freq": 1}, "a function saves itself, by tune.report"),
        ({"checkpoint_at_end": True}, "checkpoint_at_end are for classes"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(asked, words):
    with pytest.raises(ValueError, match=words):
        tune.run(lambda config: {"loss": 1}, verbose=0, **asked)


@pytest.mark.parametrize("values", [3, "abc"])
def test_a_grid_is_of_several_values(values):
    with pytest.raises(ValueError, match=f"a list of values, not {values!r}"):
        tune.grid_search(values)


def test_one_callback_needs_no_list():
    class Counts(tune.Callback):
        seen = 0

        def on_trial_result(self, iteration, trials, trial, result, **info):
            type(self).seen += 1

    tune.run(lambda config: {"loss": 1}, verbose=0, callbacks=Counts())
    assert Counts.seen == 1


def test_an_error_reads_as_text():
    def fails(config):
        raise ValueError("no such thing")

    with pytest.raises(tune.TuneError) as raised:
        tune.run(fails, verbose=0)
    text = str(raised.value)
    assert text.startswith("1 of 1 trials have failed") and "\nValueError: no such thing" in text
    assert "\\n" not in text and len(raised.value.args[1]) == 1
