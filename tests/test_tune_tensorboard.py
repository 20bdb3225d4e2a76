"""Event files of trials: read with the messages of tensorboardX, which compiled them from TensorBoard's own."""

import math
import random
import struct

import pytest
from eagleray import tune
from eagleray.tune.logger import TBXLoggerCallback
from eagleray.tune.utils.event_file import EventFile, crc32c

pytestmark = pytest.mark.only_eagleray


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(directory):
    """All of a directory's one file, with check sums that are right."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = directory.glob("events.out.tfevents.*")
    data, found = path.read_bytes(), []
    while data:
        size, sum_of_size = struct.unpack("<QI", data[:12])
        event, (sum_of_event,) = (
            data[12 : 12 + size],
            struct.unpack("<I", data[12 + size : 16 + size]),
        )
        assert masked(data[:8]) == sum_of_size and masked(event) == sum_of_event
        found.append(Event.FromString(event))
        data = data[16 + size :]
    return found


def points(found):
    """(step, value) by tag."""
    curves = {}
    for event in found:
        for value in event.summary.value:
            if value.HasField("simple_value"):
                curves.setdefault(value.tag, []).append((event.step, value.simple_value))
    return curves


def settings(found):
    """The three messages of the table of hyperparameters, by their names."""
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    tags = {}
    for event in found:
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                data = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                tags[value.tag] = getattr(data, data.WhichOneof("data"))
    return tags


def test_check_sums():
    """Of RFC 3720, and of every length about where they are taken otherwise."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    data = random.Random(1).randbytes(3000)
    crc, sums = 0xFFFFFFFF, [0]
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        sums.append(crc ^ 0xFFFFFFFF)
    for size in [*range(70), *range(1020, 1094), 2048, 3000]:
        assert crc32c(data[:size]) == sums[size], size


def test_a_file_has_what_was_added(tmp_path):
    pytest.importorskip("tensorboardX")
    file = EventFile(str(tmp_path))
    file.add({"a": 1.5, "b/ü": -2.0}, 3)
    file.add({"a": math.inf, "b/ü": 1e300}, 1 << 40)
    file.add_settings({"lr": 0.1, "name": "x", "on": True, "n": 7}, {"a": 1.0})
    file.close()
    found = events(tmp_path)
    assert (
        found[0].file_version == "brain.Event:2"
        and abs(found[0].wall_time - found[-1].wall_time) < 60
    )
    assert points(found) == {
        "a": [(3, 1.5), (1 << 40, math.inf)],
        "b/ü": [(3, -2.0), (1 << 40, math.inf)],
    }
    told = settings(found)
    experiment = told["_hparams_/experiment"]
    kinds = {info.name: info.type for info in experiment.hparam_infos}
    assert kinds == {"lr": 3, "name": 1, "on": 2, "n": 3}
    assert [info.name.tag for info in experiment.metric_infos] == ["a"]
    had = told["_hparams_/session_start_info"].hparams
    assert had["lr"].number_value == 0.1 and had["n"].number_value == 7
    assert had["name"].string_value == "x" and had["on"].bool_value is True
    assert told["_hparams_/session_end_info"].status == 1


def test_files_of_one_directory_are_not_written_over(tmp_path):
    """A trial that goes on begins another."""
    for _ in range(3):
        EventFile(str(tmp_path)).close()
    assert len(list(tmp_path.iterdir())) == 3


def test_trials_have_their_curves_and_settings(cluster, tmp_path):
    pytest.importorskip("tensorboardX")

    def train(config):
        for i in range(3):
            tune.report(
                {"loss": config["lr"] * i, "deep": {"er": i}, "text": "no number", "none": math.nan}
            )

    analysis = tune.run(
        train,
        config={"lr": tune.grid_search([1.0, 2.0]), "net": {"size": tune.choice([3])}},
        storage_path=str(tmp_path),
        callbacks=[TBXLoggerCallback()],
        verbose=0,
    )
    for trial in analysis.trials:
        lr = trial.config["lr"]
        found = events(tmp_path / trial.local_path)
        curves = points(found)
        assert curves["ray/tune/loss"] == [(i + 1, lr * i) for i in range(3)]
        assert curves["ray/tune/deep/er"] == [(1, 0), (2, 1), (3, 2)]
        assert not {"ray/tune/text", "ray/tune/none", "ray/tune/done"} & set(curves)
        had = settings(found)["_hparams_/session_start_info"].hparams
        assert had["lr"].number_value == lr and had["net/size"].number_value == 3


def test_steps_are_of_the_environment_where_it_counts_them(cluster, tmp_path):
    pytest.importorskip("tensorboardX")

    def train(config):
        tune.report({"x": 1, "timesteps_total": 500})

    analysis = tune.run(
        train, storage_path=str(tmp_path), callbacks=[TBXLoggerCallback()], verbose=0
    )
    found = events(tmp_path / analysis.trials[0].local_path)
    assert points(found)["ray/tune/x"] == [(500, 1)]
