"""Schedulers: what they decide, beside Ray's where that is installed, and what they cost."""

import json
import math
import pickle
import random
import subprocess
from pathlib import Path

import pytest
from _scheduler_runs import FakeController, FakeTrial, run, step
from eagleray.tune import schedulers
from eagleray.tune.schedulers import create_scheduler

pytestmark = pytest.mark.only_eagleray
OURS = "eagleray.tune.schedulers"
RAY_PYTHON = Path(__file__).resolve().parent.parent / ".venv-ray/bin/python"
MAX = {"metric": "score", "mode": "max"}


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
