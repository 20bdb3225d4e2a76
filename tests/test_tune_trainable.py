"""tune.Trainable by hand, functions as trainables, the registry: what stands below the trials."""

import json
from pathlib import Path

import pytest
from _support import ray
from eagleray import tune
from eagleray.tune.checkpoint import CheckpointDamagedError
from eagleray.tune.registry import ENV_CREATOR, _global_registry
from eagleray.tune.trainable import wrap_function

pytestmark = pytest.mark.only_eagleray


@pytest.fixture
def cluster():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


class Counter(tune.Trainable):
    def setup(self, config):
        self.count = config["start"]

    def step(self):
        self.count += 1
        return {"count": self.count, "timesteps_this_iter": 10}

    def save_checkpoint(self, checkpoint_dir):
        return {"count": self.count}

    def load_checkpoint(self, checkpoint):
        self.count = checkpoint["count"]


def test_a_class_counts_and_goes_on_from_its_checkpoint(results):
    counter = Counter({"start": 5})
    first = counter.train()
    assert (first["count"], first["training_iteration"], first["timesteps_total"]) == (6, 1, 10)
    kept = counter.save()
    counter.train()
    again = Counter({"start": 0})
    again.restore(kept)
    result = again.train()
    assert (result["count"], result["training_iteration"], result["timesteps_total"]) == (7, 2, 20)
    assert result["iterations_since_restore"] == 1
    assert not [file for file in results.rglob(".checkpoint_000*")], (
        "what was written aside is gone"
    )


def test_a_damaged_checkpoint_is_found(results):
    counter = Counter({"start": 5})
    kept = counter.save()
    with open(f"{kept.path}/.checkpoint_data.pkl", "r+b") as file:
        file.seek(3)
        file.write(b"\xff")
    with pytest.raises(
        CheckpointDamagedError, match=r"checkpoint_data\.pkl is not as it was written"
    ):
        counter.restore(kept)


def test_a_function_stops_in_each_report_and_its_last_result_is_said_again():
    seen = []

    def train(config):
        for step in range(2):
            seen.append(step)
            tune.report(loss=config["x"] + step)

    trainable = wrap_function(train)({"x": 10})
    assert trainable.train()["loss"] == 10
    assert seen == [0]
    assert trainable.train()["loss"] == 11
    last = trainable.train()
    assert (last["done"], last["loss"], last["training_iteration"]) == (True, 11, 2)


@pytest.mark.parametrize("value", [{"loss": 3}, 3])
def test_a_function_may_return_or_yield_its_result(value):
    def returns(config):
        return value

    def yields(config):
        yield value

    name = "loss" if isinstance(value, dict) else "_metric"
    for function in (returns, yields):
        trainable = wrap_function(function)({})
        assert trainable.train()[name] == 3
        assert trainable.train()["done"]


def test_what_a_function_raises_is_raised_by_train():
    def fails(config):
        tune.report(loss=1)
        raise ValueError("on purpose")

    trainable = wrap_function(fails)({})
    trainable.train()
    with pytest.raises(ValueError, match="on purpose"):
        trainable.train()


def test_a_function_goes_on_from_what_it_reported(results, tmp_path):
    def train(config):
        start = 0
        if tune.get_checkpoint():
            with tune.get_checkpoint().as_directory() as directory:
                start = json.load(open(f"{directory}/state.json"))
        for step in range(start + 1, 4):
            with tune.checkpoint_dir(step) as directory:
                json.dump(step, open(f"{directory}/state.json", "w"))
            tune.report(step=step)

    class Info:
        trial_id = trial_name = "t"
        logdir = str(tmp_path)
        resources = None

    made = wrap_function(train)
    trainable = made({}, trial_info=Info)
    trainable.train()
    trainable.train()
    again = made({}, trial_info=Info)
    again.restore(trainable.reported_checkpoint)
    result = again.train()
    assert (result["step"], result["training_iteration"]) == (3, 3)
    assert not list(tmp_path.glob(".reported_*"))  # moved, not copied


def test_registered_names_reach_the_processes_of_the_job():
    tune.register_env("before", lambda config: ("before", config))
    ray.init(num_cpus=1)
    try:
        tune.register_env("after", lambda config: ("after", config))
        tune.register_trainable("counter", Counter)
        _global_registry.flush()

        @ray.remote
        def look():
            from eagleray.tune.registry import _global_registry, get_trainable_cls

            made = [_global_registry.get(ENV_CREATOR, name)(1) for name in ("before", "after")]
            return made, get_trainable_cls("counter")({"start": 1}).train()["count"]

        assert ray.get(look.remote()) == ([("before", 1), ("after", 1)], 2)
    finally:
        ray.shutdown()


@pytest.mark.parametrize("wrong", [1, "name", int])
def test_what_is_no_trainable_is_refused(wrong):
    with pytest.raises(TypeError):
        tune.register_trainable("wrong", wrong)


class Exports(tune.Trainable):
    def step(self):
        return {"a": 1, "done": True}

    def _export_model(self, export_formats, export_dir):
        if self.config.get("fails"):
            raise OSError("cannot export")
        for kind in export_formats:
            Path(export_dir, f"exported.{kind}").touch()
        return {kind: export_dir for kind in export_formats}


def test_trials_that_end_export_their_models(cluster, tmp_path):
    options = {
        "export_formats": ["ONNX", "checkpoint "],
        "storage_path": str(tmp_path),
        "verbose": 0,
    }
    analysis = tune.run(
        Exports,
        config={"fails": tune.grid_search([False, True])},
        raise_on_failed_trial=False,
        **options,
    )
    good, bad = analysis.trials
    assert (good.status, bad.status) == ("TERMINATED", "ERROR")
    assert "cannot export" in bad.error_message
    made = {path.name for path in Path(good.local_path).glob("exported.*")}
    assert made == {"exported.onnx", "exported.checkpoint"}
    tune.run(lambda config: {"a": 1}, **options)  # functions have nothing to export, as in Ray
    with pytest.raises(
        tune.TuneError, match="no format 'pickle', only checkpoint, model, onnx, h5"
    ):
        tune.run(Exports, export_formats=["pickle"], verbose=0)


def test_the_trainable_that_examples_import_fails_until_it_is_restored(tmp_path):
    from eagleray.tune.utils.mock_trainable import MyTrainableClass

    config = {"width": 2, "height": 10, "mock_error": True}
    first = MyTrainableClass(config)
    assert first.train()["episode_reward_mean"] == pytest.approx(4.621, abs=0.001)
    first.save(str(tmp_path))
    with pytest.raises(RuntimeError, match="meant to fail after 1"):
        first.train()
    again = MyTrainableClass(config)
    again.restore(str(tmp_path))
    assert again.train()["episode_reward_mean"] == pytest.approx(7.616, abs=0.001)
