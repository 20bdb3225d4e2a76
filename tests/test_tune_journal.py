"""What an experiment keeps: what a change costs, in which order things are written, and that a full disk or a bug in the
writer's thread is heard of."""

import json
import sqlite3
import threading
from pathlib import Path

import pytest
from _support import ray
from eagleray import tune
from eagleray.tune.checkpoint import Checkpoint
from eagleray.tune.execution.experiment_state import ExperimentState, load_trials
from eagleray.tune.execution.journal import Journal
from eagleray.tune.execution.placement_groups import PlacementGroupFactory
from eagleray.tune.experiment.checkpoints import CheckpointList
from eagleray.tune.experiment.trial import Trial
from eagleray.tune.logger import JsonLoggerCallback
from eagleray.tune.logger.trial_files import OPEN_MAX, TrialFiles
from eagleray.tune.utils.writer import Writer

pytestmark = pytest.mark.only_eagleray


def new_trial(directory, **options):
    return Trial(
        "train",
        trial_id="abc_00000",
        config={"x": 1},
        resolved={},
        number=0,
        experiment_path=str(directory),
        resources=PlacementGroupFactory([{"CPU": 1}]),
        **options,
    )


class Recorded(Journal):
    """A journal that remembers what is written to it, and can fail."""

    def write(self, writes):
        self.last = list(writes)
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        super().write(self.last)

    full = False


@pytest.fixture
def journal(tmp_path):
    made = Recorded.open(tmp_path)
    yield made
    made.close()


@pytest.fixture
def writer():
    failures = []
    made = Writer(lambda owner, error: failures.append((owner, str(error))))
    made.failures = failures
    yield made
    made.close()


@pytest.mark.parametrize("keep", [None, 500])
def test_a_checkpoint_costs_the_same_however_many_are_kept(tmp_path, journal, writer, keep):
    state, trial = ExperimentState(journal, writer), new_trial(tmp_path)
    trial.checkpoints = CheckpointList(keep, "score" if keep else None)
    sizes = {}
    for number in range(1000):
        trial.checkpoints.add(Checkpoint(f"{tmp_path}/checkpoint_{number:06d}"), {"score": 1}, 0)
        state.changed(trial)
        state.commit()
        writer.flush()
        sizes[number] = len(repr(journal.last))
    assert max(sizes[one] for one in range(501, 1000)) <= sizes[1] + 300
    (again,) = load_trials(journal, tmp_path)
    assert [one.checkpoint for one in again.checkpoints.kept] == [
        one.checkpoint for one in trial.checkpoints.kept
    ]
    assert len(again.checkpoints.kept) == (keep or 1000)
    assert again.checkpoints.policy == trial.checkpoints.policy


def test_what_a_config_changes_into_is_kept(tmp_path, journal, writer):
    state, trial = ExperimentState(journal, writer), new_trial(tmp_path)
    for config in ({"x": 1}, {"x": 2}):
        trial.set_config(config)
        state.changed(trial)
        trial.status = Trial.PAUSED
        state.changed(trial)
        state.commit()
        writer.flush()
        (again,) = load_trials(journal, tmp_path)
        assert (again.config, again.status) == (config, "PAUSED")
    trial.reported, trial.status = 1, Trial.RUNNING
    trial.config["x"] = 3  # in place, as a scheduler may
    state.changed(trial)
    state.commit()
    writer.flush()
    assert load_trials(journal, tmp_path)[0].config == {"x": 3}


def test_a_full_disk_is_said_and_nothing_is_missing_behind_it(
    tmp_path, journal, writer, caplog, monkeypatch
):
    monkeypatch.setattr("eagleray.tune.execution.experiment_state.RETRY_SECONDS", 0.0)
    state, trial = ExperimentState(journal, writer), new_trial(tmp_path)
    removed = []
    state.changed(trial)
    for step in range(4):
        journal.full = step in (1, 2)
        trial.reported += 1
        trial.update_last_result({"step": step})
        state.result(trial, trial.last_result)
        state.after_commit(lambda step=step: removed.append(step))
        state.commit()
        writer.flush()
        assert removed == ([0] if step < 3 else [0, 1, 2, 3])
    assert caplog.text.count("cannot be written") == 1
    assert "nothing is missing in it" in caplog.text
    assert [row["step"] for row in journal.results(trial.trial_id)] == [0, 1, 2, 3]
    journal.full = True
    trial.reported += 1
    trial.update_last_result({"step": 4})
    state.result(trial, trial.last_result)
    assert [row["step"] for row in state.rewind(trial, 3)] == [0, 1, 2]
    assert trial.reported == 3
    journal.full = False
    state.close()
    assert [row["step"] for row in Journal.read(tmp_path).results(trial.trial_id)] == [0, 1, 2]


def test_the_writer_keeps_the_order_and_says_what_fails(writer):
    gate, seen = threading.Event(), []

    def fails():
        raise OSError("no room")

    writer.do("first", gate.wait)
    for number in range(3):
        writer.do("numbers", seen.append, number)
    writer.do("fails", fails)
    writer.do("numbers", seen.append, 3)
    number = writer.push()
    assert seen == []
    gate.set()
    writer.wait(number)
    assert seen == [0, 1, 2, 3]
    assert writer.failures == [("fails", "no room")]
    assert writer.ask(lambda: len(seen)) == 4
    writer.do("bug", lambda: {}["missing"])
    with pytest.raises(KeyError, match="missing"):
        writer.flush()
    assert writer.ask(lambda: 1) == 1
    with pytest.raises(OSError, match="no room"):
        writer.ask(fails)


def test_files_of_many_trials_are_not_all_open(tmp_path):
    files = TrialFiles("owner")
    for _ in range(2):
        for number in range(OPEN_MAX + 10):
            files.append(f"{tmp_path}/{number}/file", "line\n")
    assert len(files._open) == OPEN_MAX
    assert {path.read_text() for path in tmp_path.glob("*/file")} == {"line\nline\n"}
    for path in list(files._open):
        files.close(path)


def test_a_journal_of_another_version_is_refused(tmp_path):
    Journal.open(tmp_path).close()
    for version, which in ((1, "older"), (99, "newer")):
        connection = sqlite3.connect(Journal.path_in(tmp_path))
        connection.execute(f"PRAGMA user_version={version}")
        connection.close()
        for opens in (Journal.open, Journal.read):
            with pytest.raises(ValueError, match=f"written by a {which} eagleray"):
                opens(tmp_path)


@pytest.fixture
def cluster():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


def test_what_callbacks_add_to_a_result_is_in_the_journal_and_the_files(cluster, tmp_path):
    lines_at_the_end = []

    class Adds(tune.Callback):
        def on_trial_result(self, iteration, trials, trial, result, **info):
            result["added"] = {"by": "callback"}

        def on_trial_complete(self, iteration, trials, trial, **info):
            lines_at_the_end.append(len(read(trial)))

    def read(trial):
        text = Path(trial.local_path, "result.json").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def train(config):
        for step in range(3):
            tune.report(step=step)

    analysis = tune.run(train, callbacks=[Adds()], storage_path=str(tmp_path), verbose=0)
    (trial,) = analysis.trials
    rows = read(trial)
    assert [row["added"] for row in rows] == [{"by": "callback"}] * 3
    assert [{**row, "config": {}} for row in rows][:2] == [
        {**row, "config": {}} for row in analysis.results_of(trial)
    ][:2]
    assert lines_at_the_end == [3], "whoever is told of the end finds the files whole"


def test_a_logger_of_a_program_s_own_is_not_run_twice(cluster, tmp_path):
    class Mine(JsonLoggerCallback):
        def __init__(self):  # as in programs that do not call the base
            pass

    analysis = tune.run(
        lambda config: {"a": 1}, callbacks=[Mine()], storage_path=str(tmp_path), verbose=0
    )
    (trial,) = analysis.trials
    assert len(Path(trial.local_path, "result.json").read_text().splitlines()) == 1


def test_batches_that_wait_share_one_transaction(tmp_path, journal, writer):
    state, trial = ExperimentState(journal, writer), new_trial(tmp_path)
    gate, transactions = threading.Event(), []
    journal.write = lambda writes: transactions.append(len(writes))
    writer.do(None, gate.wait)
    writer.push()
    for step in range(3):
        trial.reported += 1
        trial.update_last_result({"step": step})
        state.result(trial, trial.last_result)
        state.commit()
    gate.set()
    writer.flush()
    assert sum(transactions) == 3
    assert len(transactions) <= 2, "what waited behind the gate was written at once"


def test_what_cannot_be_removed_keeps_nothing_else(tmp_path, journal, writer):
    """As a checkpoint's directory of another user's."""
    state, removed = ExperimentState(journal, writer), []

    def refused():
        raise PermissionError("not yours")

    state.after_commit(refused)
    state.after_commit(lambda: removed.append(True))
    state.commit()
    writer.flush()
    assert removed and not writer.failures
