"""Runs a scheduler on made-up trials, without processes: `python _scheduler_runs.py ray.tune.schedulers`.

The same code drives eagleray's schedulers and Ray's, so that their decisions can be compared. Reads JSON: a list of
{"kind", "options", "curves", "slots"}; curves: for each trial its results in order, by metric. Prints JSON: for each
case the decisions, [trial, time, decision], and how each trial has ended.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
from types import SimpleNamespace


class FakeTrial:
    PENDING, RUNNING, PAUSED, TERMINATED, ERROR = "PENDING RUNNING PAUSED TERMINATED ERROR".split()
    is_saving = False
    checkpoint = restore_from = None
    temporary_state = SimpleNamespace(saving_to=None)
    run_metadata = SimpleNamespace(  # Ray's trials have one
        checkpoint_manager=SimpleNamespace(
            checkpoint_config=SimpleNamespace(num_to_keep=None),
            _latest_checkpoint_result=None,
            latest_checkpoint_result=None,
        )
    )

    def __init__(self, number, config=None):
        self.number, self.trial_id = number, f"t{number:03d}"
        self.config = dict(config or {})
        self.evaluated_params, self.experiment_tag = {}, str(number)
        self.status, self.last_result = self.PENDING, {}
        self.local_path = self.local_experiment_path = "."
        self.time = 0

    def is_finished(self):
        return self.status in (self.TERMINATED, self.ERROR)

    def set_config(self, config):
        self.config = config

    def set_experiment_tag(self, tag):
        self.experiment_tag = tag

    def __hash__(self):
        return hash(self.trial_id)

    def __repr__(self):
        return self.trial_id


class FakeSearcher:
    """Is told which trials wait, as BOHB's is."""

    def __init__(self):
        self.searcher, self.told = self, []

    def on_pause(self, trial_id):
        self.told.append(["pause", trial_id])

    def on_unpause(self, trial_id):
        self.told.append(["unpause", trial_id])


class FakeController:
    def __init__(self, scheduler, trials, slots):
        self.search_alg = FakeSearcher()
        self.scheduler, self.trials, self.slots = scheduler, trials, slots

    def get_trials(self):
        return self.trials

    def with_status(self, *statuses):
        return [trial for trial in self.trials if trial.status in statuses]

    def get_live_trials(self):
        return [trial for trial in self.trials if not trial.is_finished()]

    def pending_trials(self):
        return self.with_status("PENDING")

    def paused_trials(self):
        return self.with_status("PAUSED")

    def has_resources_for_trial(self, trial):
        return len(self.with_status("RUNNING")) < self.slots

    def pause_trial(self, trial, should_checkpoint=True):
        trial.status = trial.PAUSED

    def save_trial(self, trial, *args, **kwargs):
        return object()

    _schedule_trial_save = save_trial

    def is_saving(self, trial):
        return False

    def get_trial(self, trial_id):
        return next(trial for trial in self.trials if trial.trial_id == trial_id)

    def go_on_from(self, trial, checkpoint):
        pass

    def stop_trial(self, trial):
        if not trial.is_finished():
            self.scheduler.on_trial_remove(self, trial)
            trial.status = trial.TERMINATED


def run(module, case):
    scheduler = getattr(importlib.import_module(module), case["kind"])(**case["options"])
    trials = [FakeTrial(number, case.get("config")) for number in range(len(case["curves"]))]
    controller = FakeController(scheduler, trials, case["slots"])
    for trial in trials:
        scheduler.on_trial_add(controller, trial)
    decisions = []
    for _ in range(case.get("turns", 2000)):
        while controller.has_resources_for_trial(None):
            chosen = scheduler.choose_trial_to_run(controller)
            if chosen is None:
                break
            chosen.status = chosen.RUNNING
        for trial in controller.with_status("RUNNING"):
            if trial.status == trial.RUNNING:  # another's result may have ended it
                decisions.append(step(controller, trial, case["curves"][trial.number]))
        if not controller.get_live_trials():
            break
    ends = [[trial.trial_id, trial.status, trial.time] for trial in trials]
    return {"decisions": decisions, "ends": ends, "told": controller.search_alg.told}


def step(controller, trial, curve):
    value = curve[trial.time]
    trial.time += 1
    result = {"time_total_s": trial.time, "training_iteration": trial.time}
    result["score"] = math.nan if value is None else value
    if trial.time == len(curve):
        controller.scheduler.on_trial_complete(controller, trial, result)
        trial.status, decision = trial.TERMINATED, "DONE"
    else:
        decision = controller.scheduler.on_trial_result(controller, trial, result)
        trial.status = {
            "PAUSE": trial.PAUSED,
            "STOP": trial.TERMINATED,
            "NOOP": trial.status,  # the scheduler did it
            "CONTINUE": trial.RUNNING,
        }[decision]
    trial.last_result = result
    return [trial.trial_id, trial.time, decision]


if __name__ == "__main__":
    printed, sys.stdout = sys.stdout, open(os.devnull, "w")
    print(json.dumps([run(sys.argv[1], case) for case in json.load(sys.stdin)]), file=printed)
