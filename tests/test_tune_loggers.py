"""Loggers of tracking services: what they tell their libraries, which small fakes stand for here."""

import importlib
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from _support import ray
from eagleray import tune

pytestmark = pytest.mark.only_eagleray


class Fake:
    """A library, or something in it: remembers what it is called with, by the path of names."""

    def __init__(self, calls=None, path="", **known):
        self._calls = [] if calls is None else calls
        self._path = path
        self.__dict__.update(known)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Fake(self._calls, f"{self._path}.{name}".lstrip("."))

    def __call__(self, *args, **kwargs):
        self._calls.append((self._path, args, kwargs))
        return Fake(self._calls, f"{self._path}()")

    def __setitem__(self, key, value):
        self._calls.append((f"{self._path}[{key}]", (value,), {}))

    def named(self, end):
        """The calls whose path ends so."""
        return [(args, kwargs) for path, args, kwargs in self._calls if path.endswith(end)]


@pytest.fixture
def library(monkeypatch):
    def insert(name):
        fake = Fake()
        monkeypatch.setitem(sys.modules, name, fake)
        return fake

    return insert


def trial(number=0, **changed):
    values = {
        "trial_id": f"t{number}",
        "config": {"lr": 0.1, "net": {"size": 3}, "kind": list},
        "local_path": "/results/exp/trial",
        "local_experiment_path": "/results/exp",
        "trainable_name": "train",
        "checkpoint": None,
    }
    return SimpleNamespace(**{**values, **changed})


def run(callback, *trials):
    """Two results each; the last trial fails."""
    for number, one in enumerate(trials):
        callback.on_trial_start(0, [], one)
        for step in (1, 2):
            result = {
                "training_iteration": step,
                "loss": 1.0 / step,
                "info": {"n": step},
                "text": "no number",
                "bad": float("nan"),
                "config": one.config,
            }
            callback.on_trial_result(step, [], one, result)
        if number == len(trials) - 1:
            callback.on_trial_error(2, [], one)
        else:
            callback.on_trial_complete(2, [], one)
    callback.on_experiment_end([])


NUMBERS = {"training_iteration": 1, "loss": 1.0, "info/n": 1}
SETTINGS = {"lr": 0.1, "net/size": 3, "kind": repr(list)}


def test_mlflow_has_a_run_for_each_trial(library):
    fake = library("mlflow")
    from eagleray.tune.logger.mlflow import MLflowLoggerCallback

    run(
        MLflowLoggerCallback("uri", experiment_name="exp", tags={"a": 1}, save_artifact=True),
        trial(0),
        trial(1),
    )
    assert fake.named("set_tracking_uri") == [(("uri",), {})]
    assert [kwargs["tags"]["a"] for _, kwargs in fake.named("create_run")] == [1, 1]
    assert {args[1]: args[2] for args, _ in fake.named("log_param")[:3]} == SETTINGS
    first = [(args[1], args[2], kwargs["step"]) for args, kwargs in fake.named("log_metric")[:3]]
    assert sorted(first) == sorted((name, value, 1) for name, value in NUMBERS.items())
    assert [kwargs["status"] for _, kwargs in fake.named("set_terminated")] == [
        "FINISHED",
        "FAILED",
    ]
    assert len(fake.named("log_artifacts")) == 2


def test_mlflow_is_set_up_in_a_trial(library):
    fake = library("mlflow")
    from eagleray.tune.logger.mlflow import setup_mlflow

    assert setup_mlflow({"lr": 1}, experiment_id="7", run_name="mine") is fake
    assert fake.named("start_run") == [
        ((), {"run_name": "mine", "experiment_id": "7", "tags": None})
    ]
    assert fake.named("log_params") == [(({"lr": 1},), {})]
    fake.get_experiment_by_name = lambda name: None
    with pytest.raises(ValueError, match="no experiment 'x'"):
        setup_mlflow(experiment_name="x")


def test_wandb_has_a_run_for_each_trial(library, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_API_KEY", "before")
    fake = library("wandb")
    from eagleray.tune.logger.wandb import WandbLoggerCallback

    run(WandbLoggerCallback("mine", excludes=["info", "lr"], save_code=True), trial(0), trial(1))
    _, options = fake.named("init")[0]
    assert (options["project"], options["group"], options["id"]) == ("mine", "train", "t0")
    assert options["save_code"] is True
    assert options["config"] == {"net/size": 3, "kind": repr(list)}
    assert fake.named("log")[0] == (({"training_iteration": 1, "loss": 1.0},), {"step": 1})
    assert [kwargs["exit_code"] for _, kwargs in fake.named("finish")] == [0, 1]
    with pytest.raises(ValueError, match="not both"):
        WandbLoggerCallback(api_key="a", api_key_file="b")


def test_wandb_is_set_up_in_a_trial(library):
    fake = library("wandb")
    from eagleray.tune.logger.wandb import setup_wandb

    setup_wandb({"lr": 1}, project="mine")
    assert fake.named("init") == [((), {"config": {"lr": 1}, "project": "mine", "resume": "allow"})]


def test_wandb_uploads_checkpoints_where_asked(library):
    fake = library("wandb")
    from eagleray.tune.logger.wandb import WandbLoggerCallback

    callback = WandbLoggerCallback(upload_checkpoints=True)
    one = trial(checkpoint=tune.Checkpoint("/results/exp/trial/checkpoint_1"))
    callback.on_trial_start(0, [], one)
    callback.on_trial_save(1, [], one)
    assert fake.named("add_dir") == [(("/results/exp/trial/checkpoint_1",), {})]
    assert len(fake.named("log_artifact")) == 1


@pytest.mark.parametrize(("online", "kind"), [(True, "Experiment"), (False, "OfflineExperiment")])
def test_comet_has_an_experiment_for_each_trial(library, online, kind):
    fake = library("comet_ml")
    from eagleray.tune.logger.comet import CometLoggerCallback

    run(CometLoggerCallback(online, tags=["a"], project_name="p"), trial(0), trial(1))
    assert [call for call in fake._calls if call[0] == kind] == [
        (kind, (), {"project_name": "p"})
    ] * 2
    assert fake.named("log_parameters")[0] == ((SETTINGS,), {})
    assert fake.named("log_metrics")[0] == ((NUMBERS,), {"step": 1})
    assert [args for args, _ in fake.named("log_other") if args[0] == "failed"] == [
        ("failed", False),
        ("failed", True),
    ]
    assert len(fake.named(".end")) == 2


def test_aim_has_a_run_for_each_trial(library):
    fake = library("aim")
    from eagleray.tune.logger.aim import AimLoggerCallback

    run(AimLoggerCallback(metrics=["loss"]), trial(0), trial(1))
    assert fake.named("Run")[0] == ((), {"repo": "/results/exp", "experiment": "exp"})
    assert fake.named("[hparams]")[0] == ((SETTINGS,), {})
    assert fake.named("track")[:2] == [
        ((1.0,), {"name": "loss", "step": 1}),
        ((0.5,), {"name": "loss", "step": 2}),
    ]
    assert len(fake.named("close")) == 2


@pytest.mark.parametrize(
    ("module", "name", "package"),
    [
        ("mlflow", "MLflowLoggerCallback", "mlflow"),
        ("wandb", "WandbLoggerCallback", "wandb"),
        ("comet", "CometLoggerCallback", "comet-ml"),
        ("aim", "AimLoggerCallback", "aim"),
    ],
)
def test_a_library_that_is_absent_is_named(module, name, package, monkeypatch):
    for library in ("mlflow", "wandb", "comet_ml", "aim"):
        monkeypatch.setitem(sys.modules, library, None)
    kind = getattr(importlib.import_module(f"eagleray.tune.logger.{module}"), name)
    with pytest.raises(ImportError, match=f"{name} needs the package {package}"):
        kind()


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("tune.integration.mlflow", "tune.logger.mlflow", "MLflowLoggerCallback setup_mlflow"),
        ("tune.integration.wandb", "tune.logger.wandb", "WandbLoggerCallback setup_wandb"),
        ("tune.integration.comet", "tune.logger.comet", "CometLoggerCallback"),
        ("air.integrations.mlflow", "tune.logger.mlflow", "MLflowLoggerCallback setup_mlflow"),
        ("air.integrations.wandb", "tune.logger.wandb", "WandbLoggerCallback setup_wandb"),
        ("air.integrations.comet", "tune.logger.comet", "CometLoggerCallback"),
        (
            "tune.suggest",
            "tune.search",
            "BasicVariantGenerator ConcurrencyLimiter Repeater create_searcher",
        ),
        ("tune.suggest.suggestion", "tune.search", "ConcurrencyLimiter Searcher"),
        ("tune.suggest.basic_variant", "tune.search", "BasicVariantGenerator"),
        ("tune.suggest.repeater", "tune.search.repeater", "Repeater TRIAL_INDEX"),
        ("tune.suggest.optuna", "tune.search.optuna", "OptunaSearch"),
        ("tune.suggest.hyperopt", "tune.search.hyperopt", "HyperOptSearch"),
        ("tune.suggest.bayesopt", "tune.search.bayesopt", "BayesOptSearch"),
        ("tune.suggest.nevergrad", "tune.search.nevergrad", "NevergradSearch"),
        ("tune.suggest.ax", "tune.search.ax", "AxSearch"),
        ("tune.suggest.hebo", "tune.search.hebo", "HEBOSearch"),
        ("tune.suggest.zoopt", "tune.search.zoopt", "ZOOptSearch"),
        ("tune.suggest.bohb", "tune.search.bohb", "TuneBOHB"),
    ],
)
def test_old_names_are_the_new_ones(old, new, names):
    was, now = (importlib.import_module(f"eagleray.{one}") for one in (old, new))
    for name in names.split():
        assert getattr(was, name) is getattr(now, name)


def test_a_logger_hears_of_a_real_experiment(library, tmp_path):
    fake = library("aim")
    from eagleray.tune.logger.aim import AimLoggerCallback

    def train(config):
        for step in range(3):
            tune.report(loss=config["x"] + step)

    ray.init(num_cpus=2)
    try:
        tune.run(
            train,
            config={"x": tune.grid_search([1, 2])},
            callbacks=[AimLoggerCallback(metrics=["loss"])],
            storage_path=str(tmp_path),
            verbose=0,
        )
    finally:
        ray.shutdown()
    assert sorted(args[0] for args, _ in fake.named("track")) == [1, 2, 2, 3, 3, 4]


# The libraries themselves, without a network.


def run_really(callback, tmp_path):
    """Two trials of three results, one of which fails at its end; their ids."""

    def train(config):
        for step in range(3):
            tune.report(loss=config["x"] + step, info={"n": step})
        if config["x"] == 2:
            raise ValueError("on purpose")

    ray.init(num_cpus=2)
    try:
        analysis = tune.run(
            train,
            config={"x": tune.grid_search([1, 2]), "net": {"size": 3}},
            callbacks=[callback],
            storage_path=str(tmp_path),
            raise_on_failed_trial=False,
            verbose=0,
        )
    finally:
        ray.shutdown()
    return analysis.trials


def test_real_mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow = pytest.importorskip("mlflow")
    from eagleray.tune.logger.mlflow import MLflowLoggerCallback

    uri = (tmp_path / "mlruns").as_uri()
    callback = MLflowLoggerCallback(uri, experiment_name="exp", tags={"a": "b"}, save_artifact=True)
    run_really(callback, tmp_path / "results")
    client = mlflow.tracking.MlflowClient(uri)
    experiment = client.get_experiment_by_name("exp")
    runs = sorted(
        client.search_runs([experiment.experiment_id]), key=lambda one: one.data.params["x"]
    )
    assert [run.info.status for run in runs] == ["FINISHED", "FAILED"]
    assert [run.data.params["net/size"] for run in runs] == ["3", "3"]
    assert [run.data.metrics["loss"] for run in runs] == [3, 4]
    assert [one.value for one in client.get_metric_history(runs[0].info.run_id, "loss")] == [
        1,
        2,
        3,
    ]
    artifacts = {one.path for one in client.list_artifacts(runs[0].info.run_id)}
    assert {"result.json", "params.json"} <= artifacts


def test_real_wandb(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    from eagleray.tune.logger.wandb import WandbLoggerCallback

    trials = run_really(WandbLoggerCallback("mine"), tmp_path)
    for trial in trials:
        (record,) = Path(trial.local_path).glob("wandb/offline-run-*/*.wandb")
        assert trial.trial_id in record.name
        assert b"net/size" in record.read_bytes()


def test_real_comet(tmp_path, monkeypatch):
    pytest.importorskip("comet_ml")
    monkeypatch.setenv("COMET_LOGGING_CONSOLE", "ERROR")
    from eagleray.tune.logger.comet import CometLoggerCallback

    offline = tmp_path / "offline"
    callback = CometLoggerCallback(
        online=False, project_name="p", offline_directory=str(offline), log_code=False
    )
    run_really(callback, tmp_path / "results")
    archives = list(offline.glob("*.zip"))
    assert len(archives) == 2
    said = b"".join(
        archive.read(name)
        for file in archives
        for archive in [zipfile.ZipFile(file)]
        for name in archive.namelist()
        if name.endswith(".json")
    )
    assert b"net/size" in said and b"info/n" in said


def test_real_aim(tmp_path):
    aim = pytest.importorskip("aim")
    from eagleray.tune.logger.aim import AimLoggerCallback

    repo = tmp_path / "repo"
    repo.mkdir()
    aim.Repo.from_path(str(repo), init=True)
    run_really(AimLoggerCallback(repo=str(repo), metrics=["loss"]), tmp_path / "results")
    assert len(aim.Repo(str(repo)).list_all_runs()) == 2
    # Aim 3.29 gives nothing back here, not even of a run of its own: its files are looked at.
    kept = b"".join(path.read_bytes() for path in (repo / ".aim").rglob("*") if path.is_file())
    assert b"net/size" in kept and b"loss" in kept
