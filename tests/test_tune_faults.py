"""What one trial, one callback or one mistake may not do to the rest."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from _support import ray
from eagleray import tune
from eagleray.tune.checkpoint import CheckpointDamagedError
from eagleray.tune.execution.run import claimed
from eagleray.tune.schedulers import ASHAScheduler
from eagleray.util import placement_group_table

pytestmark = [pytest.mark.only_eagleray, pytest.mark.usefixtures("results")]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


def train(config):
    for step in range(3):
        tune.report(loss=config.get("x", 0) + step)


def test_save_leaves_the_files_of_others(tmp_path):
    class Empty(tune.Trainable):
        def save_checkpoint(self, checkpoint_dir):
            return {"a": 1}

        def load_checkpoint(self, checkpoint):
            self.loaded = checkpoint

    directory = tmp_path / "mine"
    directory.mkdir()
    (directory / "thesis").write_text("years of work")
    kept = Empty({}).save(str(directory))
    assert (directory / "thesis").read_text() == "years of work"
    again = Empty({})
    again.restore(kept)
    assert again.loaded == {"a": 1}


@pytest.mark.parametrize("grouped", [False, True])
def test_an_exception_out_of_the_loop_leaves_nothing_running(grouped):
    resources = tune.PlacementGroupFactory([{"CPU": 1}, {"CPU": 1}]) if grouped else {"cpu": 2}
    with pytest.raises(ValueError, match="'score'") as kept:
        tune.run(train, metric="score", mode="max", resources_per_trial=resources, verbose=0)
    assert kept.value.__traceback__ is not None  # it is held, as a notebook holds it
    assert "CREATED" not in {row["state"] for row in placement_group_table().values()}
    assert tune.run(train, resources_per_trial=resources, verbose=0).trials[0].reported == 3


def test_nested_and_numpy_metrics_choose_checkpoints():
    numpy = pytest.importorskip("numpy")

    class Scores(tune.Trainable):
        def step(self):
            value = [1, 9, 2, 3][self.iteration]
            return {"ev": {"acc": numpy.float32(value)}, "done": self.iteration == 3}

        def save_checkpoint(self, checkpoint_dir):
            return {"iteration": self.iteration}

    analysis = tune.run(
        Scores,
        checkpoint_config=tune.CheckpointConfig(
            num_to_keep=1, checkpoint_score_attribute="ev/acc", checkpoint_frequency=1
        ),
        metric="ev/acc",
        mode="max",
        verbose=0,
    )
    assert [one.iteration for one in analysis.trials[0].checkpoints.kept] == [2, 4]
    assert analysis.best_checkpoint.path.endswith("000002")


def test_a_program_may_call_its_file_as_it_likes():
    class Files(tune.Trainable):
        def setup(self, config):
            self.text = "new"

        def step(self):
            return {"text": self.text}

        def save_checkpoint(self, checkpoint_dir):
            (Path(checkpoint_dir) / "checkpoint.pkl").write_text("mine")

        def load_checkpoint(self, checkpoint):
            self.text = (Path(checkpoint) / "checkpoint.pkl").read_text()

    kept = Files({}).save()
    again = Files({})
    again.restore(kept)
    assert again.step() == {"text": "mine"}


def test_failures_around_a_restore_are_failures(tmp_path):
    def damaged(config):
        raise CheckpointDamagedError("a file of the program's own")

    class CannotLoad(tune.Trainable):
        def step(self):
            if self.iteration == 1:
                raise RuntimeError("once")
            return {"a": 1}

        def save_checkpoint(self, checkpoint_dir):
            return {}

        def load_checkpoint(self, checkpoint):
            raise KeyError("weights")

    analysis = tune.run(damaged, verbose=0, raise_on_failed_trial=False)
    assert (analysis.trials[0].status, analysis.trials[0].num_failures) == ("ERROR", 1)
    analysis = tune.run(
        CannotLoad, checkpoint_freq=1, max_failures=2, verbose=0, raise_on_failed_trial=False
    )
    assert "weights" in analysis.trials[0].error_message
    assert analysis.trials[0].has_checkpoint
    with pytest.raises(ValueError, match="no checkpoint at /nope"):
        tune.run(train, restore="/nope", verbose=0)


def test_a_tuner_with_a_scheduler_is_restored_and_fits_twice():
    tuner = tune.Tuner(
        train,
        param_space={"x": tune.grid_search([1, 2])},
        tune_config=tune.TuneConfig(metric="loss", mode="min", scheduler=ASHAScheduler()),
        run_config=tune.RunConfig(name="twice", verbose=0),
    )
    path = tuner.fit().experiment_path
    assert len(tuner.fit()) == 2
    assert len(tune.Tuner.restore(path, train).fit()) == 2


def test_a_checkpoint_that_was_reported_is_still_the_program_s():
    def reports_twice(config):
        kept = tune.Checkpoint.from_dict({"a": 1})
        for _ in range(2):
            tune.report({"a": kept.to_dict()["a"]}, checkpoint=kept)

    analysis = tune.run(reports_twice, verbose=0)
    assert analysis.trials[0].checkpoint.to_dict() == {"a": 1}


class Unpicklable:
    def __reduce__(self):
        return (_fail, ())


def _fail():
    raise RuntimeError("only where it was made")


def test_one_trial_that_cannot_be_handled_fails_alone():
    def strange(config):
        kind = config["kind"]
        if kind == "surrogate":
            raise ValueError("a file called \udc80")
        tune.report(value=Unpicklable() if kind == "result" else "\udc80")

    kinds = ["surrogate", "result", "text"]
    analysis = tune.run(
        strange, config={"kind": tune.grid_search(kinds)}, verbose=0, raise_on_failed_trial=False
    )
    assert [trial.status for trial in analysis.trials] == ["ERROR", "ERROR", "TERMINATED"]
    locked = {"lock": tune.grid_search([threading.Lock(), None])}
    analysis = tune.run(
        lambda config: {"a": 1}, config=locked, verbose=0, raise_on_failed_trial=False
    )
    assert [trial.status for trial in analysis.trials] == ["ERROR", "TERMINATED"]


def test_names_of_directories_are_cut_in_bytes():
    analysis = tune.run(train, trial_name_creator=lambda trial: "試" * 120, verbose=0)
    assert Path(analysis.trials[0].local_path, "result.json").exists()


def test_a_logger_need_not_call_its_base(results):
    class Ported(tune.logger.LoggerCallback):
        def __init__(self):
            self.seen = []

        def log_trial_result(self, iteration, trial, result):
            self.seen.append(result["loss"])

    logger = Ported()
    tune.run(train, config={"x": 1}, callbacks=[logger], verbose=0)
    assert logger.seen == [1, 2, 3]


def test_a_function_that_reports_nothing_ends_as_it_should():
    analysis = tune.run(lambda config: None, metric="loss", mode="min", verbose=0)
    assert analysis.trials[0].status == "TERMINATED"


def test_the_end_of_a_function_is_no_second_result():
    analysis = tune.run(train, config={"x": 1}, verbose=0)
    assert analysis.trials[0].metric_analysis["loss"]["avg"] == 2


def test_threads_of_a_function_report_each_result_once():
    def threaded(config):
        def report(base):
            for step in range(10):
                tune.report(number=base + step)

        threads = [threading.Thread(target=report, args=(base,)) for base in (0, 100, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    analysis = tune.run(threaded, verbose=0)
    numbers = sorted(row["number"] for row in analysis.results_of(analysis.trials[0]))
    assert numbers == sorted(base + step for base in (0, 100, 200) for step in range(10))


def test_the_stopper_hears_of_every_result():
    heard = []

    def stop(trial_id, result):
        heard.append(result["a"])
        return False

    tune.run(lambda config: {"a": 1}, stop=stop, verbose=0)
    assert 1 in heard

    class Once(tune.Trainable):
        def step(self):
            return {"a": 2, "done": True}

    tune.run(Once, stop=stop, verbose=0)
    assert heard[-1] == 2


def test_wrapped_functions_keep_their_arguments(tmp_path):
    def old(config, checkpoint_dir=None):
        tune.report(had=checkpoint_dir is not None)

    analysis = tune.run(tune.with_resources(old, {"cpu": 1}), verbose=0)
    assert analysis.trials[0].last_result["had"] is False


def test_a_moved_experiment_goes_on_where_it_is(results):
    class Counter(tune.Trainable):
        def setup(self, config):
            self.count = 0

        def step(self):
            self.count += 1
            if self.count == 3 and not Path(config_marker).exists():
                raise RuntimeError("once")
            return {"count": self.count, "done": self.count == 4}

        def save_checkpoint(self, checkpoint_dir):
            return {"count": self.count}

        def load_checkpoint(self, checkpoint):
            self.count = checkpoint["count"]

    config_marker = str(results / "marker")
    run_config = tune.RunConfig(
        name="old", verbose=0, checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1)
    )
    old = tune.Tuner(Counter, run_config=run_config).fit().experiment_path
    Path(config_marker).touch()
    new = results / "new"
    shutil.move(old, new)
    grid = tune.Tuner.restore(new, Counter, resume_errored=True).fit()
    assert grid[0].metrics["training_iteration"] == 4
    assert not Path(old).exists()


def test_a_name_belongs_to_one_running_experiment():
    seen = []

    class StartsAnother(tune.Callback):
        def on_trial_result(self, iteration, trials, trial, result, **info):
            if not seen:
                with pytest.raises(ValueError, match="an experiment is running in") as error:
                    tune.run(train, name="taken", verbose=0)
                seen.append(error)

    tune.run(train, name="taken", callbacks=[StartsAnother()], verbose=0)
    assert seen


def test_of_many_that_begin_a_new_experiment_one_has_it(tmp_path):
    together = threading.Barrier(8)

    def tries(number):
        path = tmp_path / f"experiment{number}"
        together.wait(60)
        try:
            with claimed(path):
                (path / "mine").touch(exist_ok=False)
                together.wait(60)
                return len(os.listdir(path))
        except ValueError:
            together.wait(60)
            return 0

    with ThreadPoolExecutor(8) as threads:
        for number in range(30):
            assert sorted(threads.map(tries, [number] * 8)) == [0] * 7 + [1]
    assert sorted(os.listdir(tmp_path)) == sorted(f"experiment{number}" for number in range(30))


def test_a_trial_whose_process_does_not_come_says_so(monkeypatch, caplog):
    monkeypatch.setattr("eagleray.tune.execution.controller.PROCESS_SECONDS_MAX", 0.2)

    @ray.remote(num_cpus=2)
    class Holds:
        def ready(self):
            return True

    holder = Holds.remote()
    ray.get(holder.ready.remote())

    class Patience(tune.stopper.Stopper):
        def __call__(self, trial_id, result):
            return False

        def stop_all(self):
            return "for its process" in caplog.text

    analysis = tune.run(train, stop=Patience(), verbose=0)
    assert analysis.trials[0].reported == 0
    ray.kill(holder)


def test_a_thread_that_outlives_its_function_reports_to_nobody():
    def leaves_a_thread(config):
        def late():
            config["gate"].wait()  # until the next trial is here
            tune.report(who="late")

        if config["number"] == 0:
            gates.append({**config, "gate": threading.Event()})
            config["gate"] = gates[0]["gate"]
            threads.append(threading.Thread(target=late))
            threads[0].start()
            return {"who": 0}
        gates[0]["gate"].set()
        threads[0].join()
        for _ in range(3):
            tune.report(who=config["number"])
        return None

    gates, threads = [], []
    analysis = tune.run(
        leaves_a_thread,
        config={"number": tune.grid_search([0, 1])},
        reuse_actors=True,
        max_concurrent_trials=1,
        log_to_file=True,
        verbose=0,
    )
    first, second = analysis.trials
    assert [row["who"] for row in analysis.results_of(first)] == [0]
    assert [row["who"] for row in analysis.results_of(second)] == [1, 1, 1]
    assert first.last_result["pid"] == second.last_result["pid"]
    assert "the result is dropped" in Path(second.local_path, "stderr").read_text()


def test_a_nan_is_a_result_like_others_but_never_the_best(results):
    def sometimes(config):
        for value in config["values"]:
            tune.report(loss=value)

    nan = float("nan")
    values = [[nan, nan], [3.0, nan], [2.0, 1.0]]
    analysis = tune.run(
        sometimes,
        config={"values": tune.grid_search(values)},
        metric="loss",
        mode="min",
        name="nan",
        verbose=0,
    )
    assert [trial.status for trial in analysis.trials] == ["TERMINATED"] * 3
    assert analysis.best_config["values"] == [2.0, 1.0]
    assert analysis.get_best_trial(scope="all").config["values"] == [2.0, 1.0]
    again = tune.ExperimentAnalysis(results / "nan")
    assert again.best_config["values"] == [2.0, 1.0]
    read = [row["loss"] for row in again.results_of(again.trials[1])]
    assert read[0] == 3.0 and read[1] != read[1]


def test_a_trainable_that_never_reports_ends_with_the_time(monkeypatch, caplog):
    monkeypatch.setattr("eagleray.tune.execution.trial_actors.STEP_SECONDS_MAX", 0.2)

    class Hangs(tune.Trainable):
        def step(self):
            threading.Event().wait()

    def hangs(config):
        threading.Event().wait()

    for trainable in (Hangs, hangs):
        analysis = tune.run(
            trainable, num_samples=2, time_budget_s=4, resources_per_trial={"cpu": 2}, verbose=0
        )
        assert {trial.status for trial in analysis.trials} == {"TERMINATED"}
        assert [trial.reported for trial in analysis.trials] == [0] * len(analysis.trials)
    assert "has not ended in time and is killed" in caplog.text
    assert tune.run(train, resources_per_trial={"cpu": 2}, verbose=0).trials[0].reported == 3


def test_loggers_that_cannot_write_are_named_once_and_the_trials_go_on(caplog):
    class Fills(tune.Callback):
        def on_trial_start(self, iteration, trials, trial, **info):
            for name in ("result.json", "progress.csv"):
                Path(trial.local_path, name).symlink_to("/dev/full")

    analysis = tune.run(train, num_samples=2, callbacks=[Fills()], verbose=0)
    assert [trial.reported for trial in analysis.trials] == [3, 3]
    assert [len(analysis.results_of(trial)) for trial in analysis.trials] == [3, 3]
    for name in ("JsonLoggerCallback", "CSVLoggerCallback"):
        assert caplog.text.count(f"{name} cannot write") == 1


def test_a_checkpoint_that_cannot_be_written_fails_its_trial_alone(results):
    class Full(tune.Trainable):
        def step(self):
            return {"a": 1, "done": self.iteration == 2}

        def save_checkpoint(self, checkpoint_dir):
            Path(checkpoint_dir, "half").write_text("half of it")
            if self.config["full"] and self.iteration == 2:
                raise OSError(28, "No space left on device")

        def load_checkpoint(self, checkpoint):
            pass

    analysis = tune.run(
        Full,
        config={"full": tune.grid_search([True, False])},
        checkpoint_freq=1,
        raise_on_failed_trial=False,
        verbose=0,
    )
    full, good = analysis.trials
    assert (full.status, good.status) == ("ERROR", "TERMINATED")
    assert "No space left on device" in full.error_message
    assert [Path(one.checkpoint.path).name for one in full.checkpoints.kept] == [
        "checkpoint_000001"
    ]
    left = [path.name for path in Path(full.local_path).iterdir() if "checkpoint" in path.name]
    assert left == ["checkpoint_000001"], "nothing half is left"


def test_errors_are_themselves_again_when_they_are_read(results):
    def fails(config):
        raise ZeroDivisionError("on purpose")

    tuner = tune.Tuner(fails, run_config=tune.RunConfig(name="read", verbose=0))
    path = Path(tuner.fit()[0].path)
    assert (path / "error.pkl").exists()
    result = tune.Result.from_path(path)
    assert isinstance(result.error, ZeroDivisionError)
    assert "error='RayTaskError(ZeroDivisionError)'" in repr(result)
    (path / "error.pkl").write_bytes(b"nonsense")
    assert "on purpose" in str(tune.Result.from_path(path).error)
    with pytest.raises(ValueError, match="not the directory of a trial"):
        tune.Result.from_path(results)
