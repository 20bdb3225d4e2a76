"""Searchers: what they suggest, what they are told, and that their states go on. Libraries that are not installed are
left out."""

import importlib.util
import json
import math
import pickle

import numpy
import pytest
from _support import ray
from eagleray import tune
from eagleray.tune import schedulers
from eagleray.tune.schedulers import ASHAScheduler
from eagleray.tune.search import ConcurrencyLimiter, Repeater, Searcher, create_searcher
from eagleray.tune.search.create import SEARCHERS
from eagleray.tune.search.repeater import TRIAL_INDEX

pytestmark = pytest.mark.only_eagleray
SPACE = {
    "x": tune.uniform(-10, 10),
    "inner": {"k": tune.choice(["a", "b"]), "n": tune.randint(1, 9)},
    "lr": tune.loguniform(1e-4, 1),
    "q": tune.quniform(0, 1, 0.25),
    "twice": tune.sample_from(lambda spec: spec.config.x * 2),
    "fixed": 7,
}
NUMBERS = {"x": tune.uniform(-10, 10), "y": tune.uniform(0, 1)}
MODULES = {
    "optuna": "optuna",
    "hyperopt": "hyperopt",
    "bayesopt": "bayes_opt",
    "nevergrad": "nevergrad",
}

SEEDS = {"optuna": {"seed": 1}, "hyperopt": {"random_state_seed": 1}}


def searcher(name, **options):
    pytest.importorskip(MODULES[name])
    return create_searcher(name, **options)


def loss(config):
    return (config["x"] - 3) ** 2 + (config.get("inner", {}).get("k") == "a") * 5


def drive(search, turns, first=0):
    """Suggests and tells, one trial after another; gives the configs."""
    made = []
    for number in range(first, first + turns):
        config = search.suggest(f"t{number}")
        made.append(config)
        search.on_trial_complete(f"t{number}", {"loss": loss(config), "training_iteration": 1})
    return made


@pytest.mark.parametrize("name", MODULES)
def test_suggestions_lie_in_the_space_and_get_better(name):
    search = searcher(name, **SEEDS.get(name, {}))
    numpy.random.seed(1)  # nevergrad's
    space = NUMBERS if name == "bayesopt" else SPACE
    assert search.set_search_properties("loss", "min", space, num_samples=60)
    configs = drive(search, 60)
    for config in configs:
        assert -10 <= config["x"] <= 10
        if name != "bayesopt":
            assert config["inner"]["k"] in ("a", "b")
            assert config["inner"]["n"] in range(1, 9)
            assert type(config["inner"]["n"]) is int
            assert 1e-4 <= config["lr"] <= 1
            assert config["q"] in (0, 0.25, 0.5, 0.75, 1)
            assert config["twice"] == config["x"] * 2
    first, last = ([loss(one) for one in part] for part in (configs[:10], configs[-10:]))
    assert sum(last) < sum(first)
    assert min(map(loss, configs)) < 1
    json.dumps(configs)


@pytest.mark.parametrize("name", MODULES)
def test_a_state_that_was_kept_goes_on_alike(name):
    space = NUMBERS if name == "bayesopt" else SPACE
    made = []
    for restart in (False, True):
        search = searcher(name, **SEEDS.get(name, {}))
        numpy.random.seed(1)
        search.set_search_properties("loss", "min", space, num_samples=60)
        drive(search, 25)
        running = search.suggest("running")
        if restart:
            state = pickle.loads(ray.cloudpickle.dumps(search.get_state()))
            search = searcher(name)
            search.set_search_properties("loss", "min", space, num_samples=60)
            search.set_state(state)
        search.on_trial_complete("running", {"loss": loss(running)})
        made.append([running, *drive(search, 8, first=100)])
    assert made[0] == made[1]


@pytest.mark.parametrize("name", MODULES)
def test_points_come_first(name):
    point = (
        {"x": 3.0, "y": 0.5}
        if name == "bayesopt"
        else {"x": 3.0, "inner": {"k": "b", "n": 2}, "lr": 0.1, "q": 0.5}
    )
    search = searcher(name, points_to_evaluate=[point])
    search.set_search_properties("loss", "min", NUMBERS if name == "bayesopt" else SPACE)
    config = search.suggest("a")
    assert (
        {key: config[key] for key in point} == pytest.approx(point) if name == "bayesopt" else True
    )
    assert config["x"] == pytest.approx(3.0)


@pytest.mark.parametrize("name", MODULES)
def test_a_grid_is_refused_with_what_to_use(name):
    grid = {"x": tune.grid_search([1, 2])}
    with pytest.raises(ValueError, match=r"grid at 'x'.*tune.choice"):
        searcher(name).set_search_properties("loss", "min", grid)
    with pytest.raises(ValueError, match=r"tune.choice"):
        searcher(name, space=grid, metric="loss", mode="min")


@pytest.mark.parametrize("name", MODULES)
def test_what_is_missing_is_said(name):
    with pytest.raises(ValueError, match="no metric"):
        searcher(name, space=NUMBERS).suggest("a")
    with pytest.raises(ValueError, match="list of dictionaries"):
        searcher(name, points_to_evaluate={"x": 1})


@pytest.mark.parametrize("name", MODULES)
def test_failed_trials_and_nan_teach_nothing(name):
    search = searcher(name)
    search.set_search_properties("loss", "min", NUMBERS, num_samples=30)
    for number in range(4):
        search.suggest(f"t{number}")
    search.on_trial_complete("t0", None, error=True)
    search.on_trial_complete("t1", {"loss": math.nan})
    search.on_trial_complete("t2", {"other": 1})
    search.on_trial_complete("not mine", {"loss": 1})
    assert -10 <= search.suggest("t5")["x"] <= 10


@pytest.mark.parametrize("name", sorted(set(SEARCHERS) - {"random", "variant_generator"}))
def test_a_library_that_is_absent_is_named(name, monkeypatch):
    def absent(module, *rest):
        raise ImportError(module)

    monkeypatch.setattr("importlib.import_module", absent)
    module = SEARCHERS[name][0].removeprefix(".")
    monkeypatch.undo()
    kind = getattr(importlib.import_module(f"eagleray.tune.search.{module}"), SEARCHERS[name][1])
    monkeypatch.setattr("eagleray.tune.search.space_searcher.importlib.import_module", absent)
    with pytest.raises(ImportError, match=r"needs the package .*: pip install"):
        kind()


# Optuna.


@pytest.fixture
def optuna():
    return pytest.importorskip("optuna")


def test_optuna_takes_functions_as_spaces(optuna):
    from eagleray.tune.search.optuna import OptunaSearch

    def space(trial):
        if trial.suggest_categorical("model", ["deep", "wide"]) == "deep":
            trial.suggest_int("net/layers", 2, 5)
        return {"data": "given"}

    search = OptunaSearch(space, metric="loss", mode="min", seed=1)
    configs = [search.suggest(f"t{number}") for number in range(20)]
    assert {config["model"] for config in configs} == {"deep", "wide"}
    for config in configs:
        assert config["data"] == "given"
        assert ("net" in config) == (config["model"] == "deep")
    with pytest.raises(NotImplementedError):
        search.add_evaluated_point({"model": "deep"}, 1.0)
    with pytest.raises(ValueError, match="evaluated_rewards"):
        OptunaSearch(space, metric="a", mode="min", points_to_evaluate=[{}], evaluated_rewards=[1])


def test_optuna_asks_only_for_what_a_choice_has_taken(optuna):
    search = create_searcher("optuna", seed=2)
    space = {
        "model": tune.choice(
            [
                {"kind": "tree", "depth": tune.randint(1, 5)},
                {"kind": "net", "lr": tune.loguniform(1e-3, 1)},
            ]
        )
    }
    search.set_search_properties("loss", "min", space)
    configs = [search.suggest(f"t{number}")["model"] for number in range(20)]
    assert {frozenset(config) for config in configs} == {
        frozenset(("kind", "depth")),
        frozenset(("kind", "lr")),
    }


def test_optuna_optimizes_several_metrics(optuna):
    search = create_searcher(
        "optuna", space=NUMBERS, metric=["a", "b"], mode=["min", "max"], seed=1
    )
    search.set_search_properties("a", "min", {})
    for number in range(3):
        search.suggest(f"t{number}")
        search.on_trial_complete(f"t{number}", {"a": number, "b": number})
    assert [trial.values for trial in search._study.trials] == [[0, 0], [1, 1], [2, 2]]
    assert [one.name for one in search._study.directions] == ["MINIMIZE", "MAXIMIZE"]
    with pytest.raises(ValueError, match="as many modes"):
        create_searcher("optuna", space=NUMBERS, metric=["a", "b"], mode=["min"])


def test_optuna_knows_rewards_and_keeps_its_study(optuna, tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"
    options = {
        "space": NUMBERS,
        "metric": "loss",
        "mode": "min",
        "storage": storage,
        "study_name": "kept",
    }
    search = create_searcher(
        "optuna", points_to_evaluate=[{"x": 3.0, "y": 0.1}], evaluated_rewards=[0.0], **options
    )
    search.begin()
    search.add_evaluated_point({"x": 1.0, "y": 0.5}, 4.0)
    search.add_evaluated_point({"x": 1.0, "y": 0.5}, 4.0, error=True)
    again = create_searcher("optuna", **options)
    again.begin()
    assert again._study.best_params == {"x": 3.0, "y": 0.1}
    assert [trial.state.name for trial in again._study.trials] == ["COMPLETE", "COMPLETE", "FAIL"]


@pytest.mark.parametrize(
    "domain",
    [
        tune.uniform(0, 1),
        tune.quniform(0, 1, 0.25),
        tune.loguniform(1e-3, 1),
        tune.randint(0, 9),
        tune.lograndint(1, 9),
        tune.qrandint(0, 9, 3),
        tune.choice(["a", 2, None]),
    ],
)
def test_domains_and_optunas_distributions_are_the_same(optuna, domain):
    from eagleray.tune.search.optuna.optuna_search import distribution, of_distribution

    back = of_distribution(distribution(domain))
    assert repr(distribution(back)) == repr(distribution(domain))
    assert type(back) is type(domain)
    assert back.get_sampler().__class__ is domain.get_sampler().__class__


def test_optuna_prunes_where_it_is_asked_to(optuna, cluster, tmp_path):
    from eagleray.tune.search.optuna import OptunaPruning, OptunaSearch

    def train(config):
        for _ in range(10):
            tune.report(loss=config["x"])

    search = OptunaSearch(
        {"x": tune.uniform(0, 1)},
        points_to_evaluate=[{"x": 0.0}, {"x": 1.0}],
        pruner=optuna.pruners.ThresholdPruner(upper=0.5, n_warmup_steps=3),
    )
    analysis = tune.run(
        train,
        metric="loss",
        mode="min",
        num_samples=2,
        search_alg=ConcurrencyLimiter(search, 1),
        scheduler=OptunaPruning(),
        storage_path=str(tmp_path),
        verbose=0,
    )
    assert [trial.last_result["training_iteration"] for trial in analysis.trials] == [10, 3]


# Libraries that take seconds for a suggestion, or minutes to install: a few suggestions of each, where it is there.

REAL = {  # the module, how many suggestions, options
    "ax": ("ax", 6, {}),
    "hebo": ("hebo", 5, {"random_state_seed": 1, "max_concurrent": 1}),
    "zoopt": ("zoopt", 40, {"budget": 40}),
    "bohb": ("hpbandster", 25, {"seed": 1}),
}


def real(name, **options):
    pytest.importorskip(REAL[name][0])
    search = create_searcher(name, **REAL[name][2], **options)
    search.set_search_properties("loss", "min", SPACE, num_samples=40)
    return search


@pytest.mark.parametrize("name", REAL)
def test_real_libraries_suggest_what_lies_in_the_space(name):
    search = real(name)
    configs = []
    for number in range(REAL[name][1]):
        config = search.suggest(f"t{number}")
        if config == Searcher.FINISHED and number > 10:
            break  # ZOOpt ends where it finds nothing new
        assert -10 <= config["x"] <= 10
        assert config["inner"]["k"] in ("a", "b") and type(config["inner"]["k"]) is str
        assert config["inner"]["n"] in range(1, 9) and type(config["inner"]["n"]) is int
        assert 1e-4 <= config["lr"] <= 1
        assert config["q"] in (0, 0.25, 0.5, 0.75, 1)
        assert config["twice"] == config["x"] * 2
        configs.append(config)
        result = {"loss": loss(config), "hyperband_info": {"budget": 1}}
        search.on_trial_result(f"t{number}", result)
        search.on_trial_complete(f"t{number}", result)
    assert len({config["x"] for config in configs}) > 4
    json.dumps(configs)


@pytest.mark.parametrize("name", REAL)
def test_real_libraries_go_on_from_a_state_and_after_failures(name):
    search = real(name)
    for number in range(3):
        assert search.suggest(f"t{number}") is not None
    search.on_trial_complete("t0", None, error=True)
    search.on_trial_complete("t1", {"loss": math.nan})
    state = pickle.loads(ray.cloudpickle.dumps(search.get_state()))
    again = real(name)
    again.set_state(state)
    again.on_trial_complete("t2", {"loss": 1.0})
    again.on_trial_complete("not mine", {"loss": 1.0})
    assert -10 <= again.suggest("t3")["x"] <= 10


@pytest.mark.parametrize("name", REAL)
def test_real_libraries_take_points_first(name):
    point = {"x": 3.0, "inner": {"k": "b", "n": 2}, "lr": 0.1, "q": 0.5}
    config = real(name, points_to_evaluate=[point]).suggest("a")
    assert config["inner"] == point["inner"]
    assert [config[key] for key in ("x", "lr", "q")] == pytest.approx([3.0, 0.1, 0.5])


@pytest.mark.parametrize("name", REAL)
def test_real_libraries_search_beside_running_trials(name, cluster, tmp_path):
    pytest.importorskip(REAL[name][0])

    class Falls(tune.Trainable):
        def setup(self, config):
            self.count = 0

        def step(self):
            self.count += 1
            return {"loss": loss(self.config) + 1 / self.count, "done": self.count >= 9}

        def save_checkpoint(self, checkpoint_dir):
            return {"count": self.count}

        def load_checkpoint(self, checkpoint):
            self.count = checkpoint["count"]

    scheduler = schedulers.HyperBandForBOHB(max_t=9) if name == "bohb" else None
    analysis = tune.run(
        Falls,
        config=SPACE,
        metric="loss",
        mode="min",
        num_samples=5,
        search_alg=ConcurrencyLimiter(create_searcher(name, **REAL[name][2]), 2),
        scheduler=scheduler,
        storage_path=str(tmp_path),
        verbose=0,
    )
    assert [trial.status for trial in analysis.trials] == ["TERMINATED"] * 5
    assert all(trial.config["fixed"] == 7 for trial in analysis.trials)


# Searchers around searchers.


class Counts(Searcher):
    def __init__(self):
        super().__init__("loss", "min")
        self.given, self.told = 0, []

    def suggest(self, trial_id):
        self.given += 1
        return {"x": self.given}

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.told.append((trial_id, result and result["loss"], error))


def test_a_limited_searcher_waits_for_those_that_run():
    inner = Counts()
    limited = ConcurrencyLimiter(inner, 2)
    assert [limited.suggest(one) for one in "abc"] == [{"x": 1}, {"x": 2}, None]
    limited.on_trial_complete("a", {"loss": 1})
    assert inner.told == [("a", 1, False)]
    assert limited.suggest("c") == {"x": 3}
    assert limited.suggest("d") is None


def test_a_batch_is_told_at_once():
    inner = Counts()
    limited = ConcurrencyLimiter(inner, 2, batch=True)
    for one in "ab":
        limited.suggest(one)
    limited.on_trial_complete("a", {"loss": 1})
    assert inner.told == []
    assert limited.suggest("c") is None
    state = pickle.loads(pickle.dumps(limited.get_state()))
    limited = ConcurrencyLimiter(Counts(), 2, batch=True)
    limited.set_state(state)
    limited.on_trial_complete("b", None, error=True)
    assert limited.searcher.told == [("a", 1, False), ("b", None, True)]
    assert limited.suggest("c") == {"x": 3}


def test_limits_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="max_concurrent=..."):
        ConcurrencyLimiter(create_searcher("random"), 2)
    with pytest.raises(ValueError, match="positive"):
        ConcurrencyLimiter(Counts(), 0)
    with pytest.raises(ValueError, match="positive"):
        Repeater(Counts(), 0)


def test_a_repeated_config_has_the_mean_of_its_trials():
    inner = Counts()
    repeats = Repeater(inner, 3)
    configs = [repeats.suggest(one) for one in "abcd"]
    assert configs == [
        {"x": 1, TRIAL_INDEX: 0},
        {"x": 1, TRIAL_INDEX: 1},
        {"x": 1, TRIAL_INDEX: 2},
        {"x": 2, TRIAL_INDEX: 0},
    ]
    repeats.on_trial_complete("b", {"loss": 1.0})
    repeats.on_trial_complete("c", None, error=True)
    state = pickle.loads(pickle.dumps(repeats.get_state()))
    repeats = Repeater(Counts(), 3)
    repeats.set_state(state)
    repeats.on_trial_complete("a", {"loss": 2.0})
    assert repeats.searcher.told == [("a", 1.5, False)]
    assert repeats.suggest("e") == {"x": 2, TRIAL_INDEX: 1}


def test_a_restored_searcher_hears_of_what_has_ended_behind_its_state():
    from eagleray.tune.execution.trial_source import TrialSource

    class Remembers(Counts):
        points = ()

        def add_evaluated_point(self, parameters, value, error=False):
            self.points = (*self.points, (parameters["x"], value, error))

    def source(searcher):
        return TrialSource(
            ConcurrencyLimiter(searcher, 2),
            trainable=tune.Trainable,
            trainable_name="train",
            experiment_path="/none",
            config={},
            samples=9,
        )

    old = source(Counts())
    trials = [old.next(), old.next()]
    state = pickle.loads(pickle.dumps({**old.get_state(), "searcher": None}))
    limited = old.get_state()["searcher"]
    old.complete(trials[0], {"loss": 1})
    trials += [old.next()]
    old.complete(trials[1], {"loss": 2})
    trials += [old.next()]
    for trial, value in zip(trials, (1, 2, 3), strict=False):
        trial.last_result, trial.status = {"loss": value}, "TERMINATED"

    new = source(Remembers())
    new.set_state({**state, "searcher": {**limited, "live": set(state["live"])}})
    new.searcher.searcher.told, new.searcher.searcher.points = [], ()
    new.catch_up(trials, known=2)
    inner = new.searcher.searcher
    assert inner.told == [(trials[0].trial_id, 1, False), (trials[1].trial_id, 2, False)]
    assert inner.points == ((3, 3, False),)
    assert not new.searcher.live_trials, "their places are free"
    new.complete(trials[3], {"loss": 4})
    assert inner.points == ((3, 3, False), (4, 4, False))


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=4)
    yield
    ray.shutdown()


def test_asha_with_optuna_end_to_end(optuna, cluster, tmp_path):
    def train(config):
        for step in range(1, 10):
            tune.report(loss=(config["x"] - 3) ** 2 + 1 / step)

    analysis = tune.run(
        train,
        config={"x": tune.uniform(-10, 10), "fixed": 1},
        metric="loss",
        mode="min",
        num_samples=24,
        search_alg=ConcurrencyLimiter(create_searcher("optuna", seed=1), 4),
        scheduler=ASHAScheduler(max_t=9, reduction_factor=3),
        storage_path=str(tmp_path),
        verbose=0,
    )
    assert len(analysis.trials) == 24
    assert all(trial.config["fixed"] == 1 for trial in analysis.trials)
    lengths = {trial.last_result["training_iteration"] for trial in analysis.trials}
    assert lengths <= {1, 2, 3, 4, 5, 6, 7, 8, 9}
    assert 9 in lengths
    assert min(lengths) < 9
    assert abs(analysis.best_config["x"] - 3) < 3
