"""Schedulers: what they decide, beside Ray's where that is installed, and what they cost."""

import json
import math
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
from _scheduler_runs import FakeController, FakeTrial, run, step
from _support import ray
from eagleray import tune
from eagleray.tune import schedulers
from eagleray.tune.execution.lending import LentCheckpoints
from eagleray.tune.experiment.checkpoints import CheckpointList
from eagleray.tune.schedulers import create_scheduler
from eagleray.tune.schedulers.explore import explore
from eagleray.tune.schedulers.pb2 import best_settings

pytestmark = pytest.mark.only_eagleray
OURS = "eagleray.tune.schedulers"
RAY_PYTHON = Path(__file__).resolve().parent.parent / ".venv-ray/bin/python"
MAX = {"metric": "score", "mode": "max"}


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=4)
    yield
    ray.shutdown()


def curves(count, length, seed, noise=0.3):
    """Learning curves that cross."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        end, rate = draw.uniform(0, 1), draw.uniform(0.02, 0.4)
        made.append(
            [end * (1 - math.exp(-rate * t)) + noise * draw.random() for t in range(1, length + 1)]
        )
    return made


def case(kind, count, length, slots, seed=0, **options):
    return {
        "kind": kind,
        "options": {**MAX, **options},
        "curves": curves(count, length, seed),
        "slots": slots,
    }


CASES = {
    "asha": case("AsyncHyperBandScheduler", 40, 30, 4, max_t=27, reduction_factor=3),
    "asha, min": case("ASHAScheduler", 40, 40, 8, mode="min", grace_period=3),
    "asha, last go on": case(
        "ASHAScheduler", 20, 40, 8, max_t=20, reduction_factor=2, stop_last_trials=False
    ),
    "asha, long grace": case("ASHAScheduler", 30, 30, 30, max_t=30, grace_period=5),
    "hyperband, one bracket": case("HyperBandScheduler", 5, 100, 2),
    "hyperband, full band": case("HyperBandScheduler", 143, 100, 16),
    "hyperband, two bands": case("HyperBandScheduler", 30, 40, 3, max_t=9),
    "hyperband, some trials end": case("HyperBandScheduler", 143, 25, 16),
    "hyperband, last go on": case("HyperBandScheduler", 22, 40, 4, max_t=9, stop_last_trials=False),
    "hyperband, factor 2": case("HyperBandScheduler", 60, 40, 60, max_t=16, reduction_factor=2),
    "bohb": case("HyperBandForBOHB", 22, 40, 4, max_t=9),
    "bohb, not full": case("HyperBandForBOHB", 15, 40, 3, max_t=9),
    "median": case("MedianStoppingRule", 20, 30, 20, grace_period=5),
    "median, few slots": case("MedianStoppingRule", 20, 30, 3, grace_period=5),
    "median, slices": case("MedianStoppingRule", 12, 20, 3, grace_period=2, min_time_slice=3),
    "median, by iteration": case(
        "MedianStoppingRule", 20, 20, 6, time_attr="training_iteration", grace_period=1, mode="min"
    ),
}

# One best trial and one value, so that nothing is left to chance.
PBT = {"perturbation_interval": 3, "hyperparam_mutations": {"lr": [1]}, "log_config": False}
CASES |= {
    f"pbt, {name}": case("PopulationBasedTraining", 4, 20, slots, **PBT, **options)
    | {"config": {"lr": 1}}
    for name, slots, options in (
        ("all run", 4, {}),
        ("some wait", 2, {}),
        ("burn in", 4, {"burn_in_period": 6, "mode": "min"}),
        ("in step", 4, {"synch": True}),
        ("in step, some wait", 3, {"synch": True}),
    )
}


@pytest.fixture(scope="module")
def rays():
    """What Ray decides in all cases."""
    if not RAY_PYTHON.exists():
        pytest.skip("needs Ray in .venv-ray")
    program = Path(__file__).with_name("_scheduler_runs.py")
    ended = subprocess.run(
        [RAY_PYTHON, program, "ray.tune.schedulers"],
        input=json.dumps(list(CASES.values())),
        capture_output=True,
        text=True,
    )
    if "No module named" in ended.stderr:
        pytest.skip("needs ray[tune] in .venv-ray")
    assert ended.returncode == 0, ended.stderr[-3000:]
    return dict(zip(CASES, json.loads(ended.stdout), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_decisions_are_rays(name, rays):
    ours = run(OURS, CASES[name])
    assert ours["decisions"] == rays[name]["decisions"]
    assert ours == rays[name]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("AsyncHyperBandScheduler", {"max_t": 9, "reduction_factor": 3}),
        ("HyperBandScheduler", {"max_t": 9}),
        ("MedianStoppingRule", {"grace_period": 2}),
    ],
)
def test_nan_is_the_worst(kind, options):
    good = [[0.5 + 0.01 * t for t in range(10)] for _ in range(16)]
    ends = run(
        OURS,
        {"kind": kind, "options": {**MAX, **options}, "curves": [*good, [None] * 10], "slots": 18},
    )
    times = [time for _, _, time in ends["ends"]]
    assert times[-1] < max(times[:-1])
    assert times[-1] <= 3


@pytest.mark.parametrize("name", ["asha", "hyperband, full band", "median, few slots", "bohb"])
def test_a_state_that_was_kept_goes_on_alike(name):
    one = CASES[name]
    made = [getattr(schedulers, one["kind"])(**one["options"]) for _ in range(2)]
    decisions = []
    for scheduler, restart in zip(made, (False, True), strict=True):
        trials = [FakeTrial(number) for number in range(len(one["curves"]))]
        controller = FakeController(scheduler, trials, len(trials))
        for trial in trials:
            scheduler.on_trial_add(controller, trial)
            trial.status = trial.RUNNING
        said = []
        for turn in range(3):
            if restart and turn == 2:
                state = pickle.loads(pickle.dumps(scheduler.get_state()))
                scheduler = controller.scheduler = getattr(schedulers, one["kind"])(
                    **one["options"]
                )
                scheduler.set_state(state)
                for trial in controller.get_live_trials():
                    scheduler.on_trial_add(controller, trial)
            for trial in controller.with_status("RUNNING"):
                if trial.status == trial.RUNNING:
                    said.append(step(controller, trial, one["curves"][trial.number]))
        decisions.append(said)
    assert decisions[0] == decisions[1]


def test_brackets_of_asha_begin_one_rung_later_each():
    scheduler = schedulers.ASHAScheduler(brackets=3, max_t=81, reduction_factor=3, **MAX)
    first = [line.split()[-2] for line in scheduler.debug_string().splitlines()[1:]]
    assert first == ["1.000:", "3.000:", "9.000:"]


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("ASHAScheduler", {"grace_period": 0}, "grace_period"),
        ("ASHAScheduler", {"max_t": 2, "grace_period": 3}, "grace_period"),
        ("ASHAScheduler", {"reduction_factor": 1}, "reduction_factor"),
        ("ASHAScheduler", {"brackets": 0}, "brackets"),
        ("HyperBandScheduler", {"max_t": 0}, "max_t"),
        ("MedianStoppingRule", {"mode": "best"}, "mode"),
        ("PopulationBasedTraining", {}, "hyperparam_mutations"),
        ("PopulationBasedTraining", {"hyperparam_mutations": {"a": 1}}, "'a' must be"),
        ("PopulationBasedTraining", {**PBT, "quantile_fraction": 0.6}, "quantile_fraction"),
        ("PopulationBasedTraining", {**PBT, "perturbation_interval": 0}, "perturbation_interval"),
        ("PopulationBasedTrainingReplay", {"policy_file": "/none"}, "no policy file"),
    ],
)
def test_limits_that_cannot_be_are_refused(kind, options, text):
    with pytest.raises(ValueError, match=text):
        getattr(schedulers, kind)(**options)


@pytest.mark.parametrize(
    "name", ["asha", "async_hyperband", "hyperband", "median_stopping_rule", "hb_bohb"]
)
def test_without_a_metric_nothing_can_be_compared(name):
    scheduler = create_scheduler(name)
    with pytest.raises(ValueError, match="has no metric"):
        scheduler.on_trial_add(None, FakeTrial(0))
    assert scheduler.set_search_properties("loss", "min")
    assert not scheduler.set_search_properties("loss", "min")


class Climbs(tune.Trainable):
    """Gets `speed` nearer with each step."""

    def setup(self, config):
        self.place = 0.0

    def step(self):
        self.place += self.config["speed"]
        return {"score": self.place}

    def save_checkpoint(self, checkpoint_dir):
        return {"place": self.place}

    def load_checkpoint(self, checkpoint):
        self.place = checkpoint["place"]


def climbs(config):
    checkpoint = tune.get_checkpoint()
    place = checkpoint.to_dict()["place"] if checkpoint else 0.0
    while True:
        place += config["speed"]
        tune.report({"score": place}, checkpoint=tune.Checkpoint.from_dict({"place": place}))


def lines_of(path):
    return [json.loads(line) for line in Path(path).open()]


@pytest.mark.parametrize("trainable", [Climbs, climbs])
@pytest.mark.parametrize("options", [{}, {"synch": True}])
@pytest.mark.parametrize("keep", [None, 1])
def test_pbt_moves_the_worst_to_where_the_best_are(cluster, trainable, options, keep, tmp_path):
    scheduler = schedulers.PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=3,
        hyperparam_mutations={"speed": [10.0]},
        **options,
    )

    def stop(trial_id, result):
        """Processes start when they can: none ends before one has taken another's place."""
        return result["training_iteration"] >= 12 and not scheduler.debug_string().endswith(
            " 0 perturbs"
        )

    analysis = tune.run(
        trainable,
        name="pbt",
        config={"speed": tune.grid_search([1.0, 1.0, 1.0, 10.0])},
        metric="score",
        mode="max",
        stop=stop,
        time_budget_s=60,
        scheduler=scheduler,
        checkpoint_config=tune.CheckpointConfig(num_to_keep=keep),
        storage_path=str(tmp_path),
        verbose=0,
    )
    assert all(trial.status == "TERMINATED" for trial in analysis.trials)
    by_tag = {trial.experiment_tag.split("@")[0]: trial for trial in analysis.trials}
    changed = [trial for trial in analysis.trials if "@perturbed[speed=10]" in trial.experiment_tag]
    assert changed
    rows = lines_of(tmp_path / "pbt" / "pbt_global.txt")
    assert scheduler.debug_string().endswith(f" {len(rows)} perturbs")
    for trial in changed:
        own, other, _, _, _, config = lines_of(
            tmp_path / "pbt" / f"pbt_policy_{trial.trial_id}.txt"
        )[-1]
        assert by_tag[own] is trial
        assert config == trial.config == {"speed": 10.0}
        assert json.loads((Path(trial.local_path) / "params.json").read_text()) == config
        results = lines_of(f"{trial.local_path}/result.json")
        first = next(index for index, row in enumerate(results) if "@" in row["experiment_tag"])
        assert all(row["config"] == config for row in results[first:])
        theirs = {
            row["score"]
            for trial in analysis.trials
            for row in lines_of(f"{trial.local_path}/result.json")
        }
        assert results[first]["score"] - 10 in theirs
        assert other in by_tag


def test_a_policy_is_replayed_from_the_checkpoint_on(cluster, tmp_path):
    rows = [
        ["1_old", "7_gone", 2, 2, {"speed": 9}, {"speed": 8}],
        ["2_other", "0_first", 3, 3, {"speed": 1.0}, {"speed": 2.0}],
        ["3_own", "2_other", 6, 7, {"speed": 2.0}, {"speed": 5.0}],
    ]
    policy = tmp_path / "pbt_policy_x.txt"
    policy.write_text("".join(json.dumps(row) + "\n" for row in rows))
    replay = schedulers.PopulationBasedTrainingReplay(str(policy))
    assert replay.config == {"speed": 1.0}
    analysis = tune.run(
        Climbs,
        scheduler=replay,
        stop={"training_iteration": 12},
        storage_path=str(tmp_path),
        verbose=0,
    )
    (trial,) = analysis.trials
    scores = [json.loads(line)["score"] for line in (Path(trial.local_path) / "result.json").open()]
    assert scores == [1, 2, 3, 5, 7, 9, 11, 16, 21, 26, 31, 36]
    with pytest.raises(ValueError, match="num_samples"):
        replay.on_trial_add(None, FakeTrial(9))


def test_what_a_changed_config_may_be():
    config = {"a": 2, "b": 1.0, "c": "x", "n": {"d": 10}, "rest": [1]}
    mutations = {
        "a": [1, 2, 3],
        "b": tune.uniform(0, 1),
        "c": lambda: "y",
        "n": {"d": tune.randint(1, 20)},
    }
    seen = [explore(config, mutations, 0.0)[0] for _ in range(50)]
    assert {one["a"] for one in seen} == {1, 3}
    assert {one["b"] for one in seen} == {1.2, 0.8}
    assert {one["n"]["d"] for one in seen} == {12, 8}
    assert all(one["c"] == "x" and one["rest"] == [1] for one in seen)
    again = [explore(config, mutations, 1.0)[0] for _ in range(50)]
    assert {one["c"] for one in again} == {"y"}
    assert all(0 <= one["b"] <= 1 for one in again)
    assert config["n"] == {"d": 10}
    assert explore(config, {}, 0, custom=lambda c: {**c, "a": 7})[0]["a"] == 7
    with pytest.raises(ValueError, match="custom_explore_fn"):
        explore(config, {}, 0, custom=lambda c: None)


def test_a_checkpoint_that_was_lent_outlives_its_own_trial():
    lent = LentCheckpoints()
    one, other = tune.Checkpoint("/a/1"), tune.Checkpoint("/a/2")
    lent.lend(one, "b")
    lent.lend(one, "c")
    assert lent.removable([one, other]) == [other]
    assert lent.release("b") == []
    assert lent.release("c") == [one]
    assert lent.removable([one]) == [one]


def test_after_a_failure_a_trial_goes_on_from_what_it_borrowed():
    own, theirs, newer = (tune.Checkpoint(f"/{name}") for name in ("own", "theirs", "newer"))
    checkpoints = CheckpointList()
    checkpoints.add(own, {}, 2)
    checkpoints.borrow(theirs, 5)
    assert checkpoints.latest == theirs
    assert checkpoints.find(theirs).reported == 5
    assert checkpoints.drop_latest() == own
    checkpoints.borrow(theirs, 5)
    checkpoints.add(newer, {}, 6)
    assert checkpoints.latest == newer
    assert checkpoints.find(theirs) is None


def test_pb2_chooses_what_has_gained_most():
    draw = random.Random(1)
    observed = []
    for time in range(60):
        settings = [draw.random(), draw.random()]
        observed.append(
            (float(time), settings, 1 - (settings[0] - 0.8) ** 2 * 5 + draw.gauss(0, 0.05))
        )
    random.seed(1)
    chosen = [best_settings(observed, [], 2) for _ in range(5)]
    assert all(abs(one[0] - 0.8) < 0.25 for one in chosen)
    assert all(0 <= value <= 1 for one in chosen for value in one)


@pytest.mark.parametrize("trainable", [Climbs, climbs])
def test_pb2_keeps_to_its_bounds(cluster, trainable, tmp_path):
    scheduler = schedulers.PB2(
        time_attr="training_iteration",
        perturbation_interval=2,
        hyperparam_bounds={"speed": [1.0, 10.0]},
    )

    def stop(trial_id, result):
        return result["training_iteration"] >= 10 and not scheduler.debug_string().endswith(
            " 0 perturbs"
        )

    analysis = tune.run(
        trainable,
        num_samples=4,
        metric="score",
        mode="max",
        stop=stop,
        time_budget_s=60,
        scheduler=scheduler,
        storage_path=str(tmp_path),
        verbose=0,
    )
    changed = [trial for trial in analysis.trials if "@perturbed" in trial.experiment_tag]
    assert changed
    assert all(1 <= trial.config["speed"] <= 10 for trial in analysis.trials)
    again = schedulers.PB2(hyperparam_bounds={"speed": [1.0, 10.0]})
    again.set_state(pickle.loads(pickle.dumps(scheduler.get_state())))
    assert again.debug_string() == scheduler.debug_string()


@pytest.mark.parametrize("bounds", [None, {"a": 1}, {"a": [1]}, {"a": [2, 1]}])
def test_pb2_needs_bounds(bounds):
    with pytest.raises(ValueError, match="hyperparam_bounds"):
        schedulers.PB2(hyperparam_bounds=bounds)


class Resources:
    def __init__(self, **total):
        self.total = total


def shared(function, scores, base=None, **total):
    """What each of some trials gets."""
    base = tune.PlacementGroupFactory(base or [{"CPU": 1}])
    scheduler = schedulers.ResourceChangingScheduler(schedulers.FIFOScheduler(), function)
    scheduler.base_trial_resources = base
    trials = [FakeTrial(number) for number in range(len(scores))]
    controller = FakeController(scheduler, trials, 9)
    controller.resources = Resources(**total)
    for trial, score in zip(trials, scores, strict=True):
        trial.placement_group_factory, trial.last_result = base, {"score": score}
    given = [function(controller, trial, trial.last_result, scheduler) for trial in trials]
    return [(one or base).bundles for one in given]


def test_resources_are_shared_evenly_or_go_to_the_best():
    even, top = schedulers.DistributeResources, schedulers.DistributeResourcesToTopJob
    assert shared(even(), [1, 2], CPU=8) == [[{"CPU": 4}], [{"CPU": 4}]]
    assert shared(even(), [1, 2, 3], CPU=8) == [[{"CPU": 3}], [{"CPU": 3}], [{"CPU": 2}]]
    assert shared(even(reserve_resources={"CPU": 2}), [1, 2], CPU=8) == [[{"CPU": 3}], [{"CPU": 3}]]
    assert shared(even(increase_by={"CPU": 2}), [1], CPU=8) == [[{"CPU": 7}]]
    assert shared(even(add_bundles=True), [1], [{"CPU": 1}, {"CPU": 2}], CPU=8) == [
        [{"CPU": 1}, {"CPU": 2}, {"CPU": 2}, {"CPU": 2}]
    ]
    assert shared(even(), [1], [{"CPU": 1, "GPU": 1}], CPU=8, GPU=2) == [[{"CPU": 2, "GPU": 2}]]
    assert shared(even(), [1, 2], CPU=1) == [[{"CPU": 1}], [{"CPU": 1}]]
    best = shared(top(metric="score", mode="max"), [1, math.nan, 3], CPU=8)
    assert best == [[{"CPU": 1}], [{"CPU": 1}], [{"CPU": 6}]]
    assert shared(top(metric="score", mode="min"), [1, 2], CPU=8)[0] == [{"CPU": 7}]
    with pytest.raises(ValueError, match="increase_by"):
        even(increase_by={"CPU": 0})


@pytest.mark.parametrize("reuse", [True, False])
def test_a_trial_gets_more_when_others_have_ended(cluster, tmp_path, reuse):
    def grows(config):
        """Two steps, or as many as it takes to have all CPUs."""
        checkpoint = tune.get_checkpoint()
        step = checkpoint.to_dict()["step"] if checkpoint else 0
        cpus = tune.get_trial_resources().required_resources["CPU"]
        done = False
        while not done:
            step += 1
            tune.report({"cpus": cpus}, checkpoint=tune.Checkpoint.from_dict({"step": step}))
            done = step >= 2 and (cpus == 4 or not config["patient"])

    analysis = tune.run(
        grows,
        config={"patient": tune.grid_search([False, True])},
        scheduler=schedulers.ResourceChangingScheduler(
            schedulers.ASHAScheduler(metric="cpus", mode="max", max_t=10**6, grace_period=10**6),
            schedulers.DistributeResources(),
        ),
        reuse_actors=reuse,
        storage_path=str(tmp_path),
        time_budget_s=60,
        verbose=0,
    )
    assert analysis.trials[1].last_result["cpus"] == 4
    with pytest.raises(ValueError, match="pause it first"):
        analysis.trials[1].status = "RUNNING"
        analysis.trials[1].update_resources({"cpu": 1})


def test_a_trial_that_is_named_again_is_started_once(cluster, tmp_path):
    class NamesTheLast(schedulers.TrialScheduler):
        def choose_trial_to_run(self, controller):
            waiting = [trial for trial in controller.get_trials() if trial.status == "PENDING"]
            return waiting[-1] if waiting else None

    def starts(config):
        with (tmp_path / f"started_{config['x']}").open("a") as file:
            file.write(".")
        tune.report(x=config["x"])

    tune.run(
        starts,
        config={"x": tune.grid_search([1, 2, 3])},
        scheduler=NamesTheLast(),
        storage_path=str(tmp_path),
        verbose=0,
    )
    assert [(tmp_path / f"started_{x}").read_text() for x in (1, 2, 3)] == [".", ".", "."]


def test_a_failure_after_a_take_over_goes_on_from_there(cluster, tmp_path):
    class FailsOnce(Climbs):
        def step(self):
            marker = Path(self.config["marker"])
            if self.place == 63 and self.config["speed"] == 1 and not marker.exists():
                marker.touch()
                raise RuntimeError("on purpose")
            if (
                self.place == 40 and self.config["speed"] == 1
            ):  # it waits for the first to save itself
                return {"score": self.place}
            return super().step()

    class TakesOver(schedulers.FIFOScheduler):
        """The first trial has saved itself; the second goes on from there, once."""

        taken = False

        def on_trial_result(self, controller, trial, result):
            first, second = controller.get_trials()
            if trial is first and result["training_iteration"] == 6:
                controller.save_trial(trial)
            if (
                trial is second
                and not self.taken
                and first.checkpoint
                and not controller.is_saving(first)
            ):
                self.taken = True
                controller.pause_trial(trial, should_checkpoint=False)
                controller.go_on_from(trial, first.checkpoint)
                return self.NOOP
            return self.CONTINUE

    analysis = tune.run(
        FailsOnce,
        config={"speed": tune.grid_search([10.0, 1.0]), "marker": str(tmp_path / "failed")},
        scheduler=TakesOver(),
        stop={"score": 70},
        max_failures=1,
        time_budget_s=60,
        storage_path=str(tmp_path),
        verbose=0,
    )
    second = analysis.trials[1]
    assert second.num_failures == 1
    scores = [row["score"] for row in lines_of(f"{second.local_path}/result.json")]
    jump = scores.index(61)
    assert scores[:jump] == [min(number, 40) for number in range(1, jump + 1)]
    assert scores[jump:] == list(range(61, 71))


class ManyTrials:
    """A controller of many trials, as cheap as ours, that runs a few of them."""

    def __init__(self, scheduler, count, slots):
        self.scheduler, self.slots, self.running, self.paused = scheduler, slots, {}, {}
        self.search_alg = None
        self.trials = [FakeTrial(number, {"lr": 0.5}) for number in range(count)]
        self.waiting = {trial.trial_id: trial for trial in self.trials}
        for trial in self.trials:
            scheduler.on_trial_add(self, trial)

    def is_waiting(self, trial):
        return trial.trial_id in self.waiting

    def runs_anything(self):
        return bool(self.running)

    def pending_trials(self):
        return (one for one in self.waiting.values() if one.trial_id not in self.paused)

    def paused_trials(self):
        return self.paused.values()

    def has_resources_for_trial(self, trial):
        return len(self.running) < self.slots

    def is_saving(self, trial):
        return False

    def get_trial(self, trial_id):
        return None

    def save_trial(self, trial):
        pass

    def pause_trial(self, trial, should_checkpoint=True):
        self.leave(trial, trial.PAUSED)

    def stop_trial(self, trial):
        self.scheduler.on_trial_remove(self, trial)
        self.leave(trial, trial.TERMINATED)

    def leave(self, trial, status):
        self.running.pop(trial.trial_id, None)
        self.waiting.pop(trial.trial_id, None)
        trial.status = status
        self.paused.pop(trial.trial_id, None)
        if status == trial.PAUSED:
            self.waiting[trial.trial_id] = self.paused[trial.trial_id] = trial

    def run(self, results):
        """So many results, each with the choice of who runs behind it."""
        for number in range(results):
            while (chosen := self.scheduler.choose_trial_to_run(self)) is not None:
                del self.waiting[chosen.trial_id]
                self.paused.pop(chosen.trial_id, None)
                self.running[chosen.trial_id] = chosen
                chosen.status = chosen.RUNNING
            trial = list(self.running.values())[number % len(self.running)]
            trial.time += 1
            result = {
                "time_total_s": trial.time,
                "training_iteration": trial.time,
                "score": trial.number % 7 + trial.time,
            }
            trial.last_result = result
            decision = self.scheduler.on_trial_result(self, trial, result)
            if decision in ("PAUSE", "STOP"):
                self.leave(trial, trial.PAUSED if decision == "PAUSE" else trial.TERMINATED)


def calls_of(what):
    """How many functions are called, of Python's and of C's."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        what()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("FIFOScheduler", {}),
        ("AsyncHyperBandScheduler", MAX),
        ("HyperBandScheduler", {**MAX, "max_t": 27}),
        ("HyperBandForBOHB", {**MAX, "max_t": 27}),
        ("MedianStoppingRule", {**MAX, "grace_period": 2}),
        ("PopulationBasedTraining", {**MAX, **PBT}),
        ("PopulationBasedTraining", {**MAX, **PBT, "synch": True}),
    ],
)
def test_a_result_costs_the_same_however_many_wait(kind, options):
    calls = []
    for count in (600, 10_000):
        controller = ManyTrials(getattr(schedulers, kind)(**options), count, slots=4)
        calls.append(calls_of(lambda controller=controller: controller.run(500)))
    assert calls[1] <= 1.2 * calls[0]


def test_brackets_do_not_wait_for_what_has_ended_behind_their_state():
    before = schedulers.HyperBandScheduler(**MAX, max_t=9)
    controller = ManyTrials(before, 5, slots=5)
    controller.run(1)
    state = pickle.loads(pickle.dumps(before.get_state()))
    after = schedulers.HyperBandScheduler(**MAX, max_t=9)
    after.set_state(state)
    again = ManyTrials(schedulers.FIFOScheduler(), 5, slots=5)
    again.scheduler = after
    ended = again.trials[0]
    for trial in again.trials[1:]:
        after.on_trial_add(again, trial)
    again.leave(ended, ended.TERMINATED)
    after.on_trial_gone(again, ended)
    for _ in range(200):
        if again.waiting or again.running:
            again.run(1)
    assert {trial.status for trial in again.trials} == {"TERMINATED"}
