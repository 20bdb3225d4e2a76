"""Where settings come from, who gets them, and what is said about wrong ones."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from _support import PEER, ray

pytestmark = pytest.mark.skipif(PEER, reason="our settings")
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def disconnected():
    yield
    ray.shutdown()


def settings_of_worker():
    @ray.remote
    def read():
        from eagleray._state import state

        return state.client.info()["settings"]

    return ray.get(read.remote())


def test_every_process_has_the_same():
    ray.init(num_cpus=1, _system_config={"worker_idle_ms": 70, "lease_linger_ms": 5})
    settings = ray._state.state.client.info()["settings"]
    assert (settings["worker_idle_ms"], settings["lease_linger_ms"]) == (70, 5)
    assert settings_of_worker() == settings


def test_the_environment_is_read_and_the_argument_goes_before_it(monkeypatch):
    monkeypatch.setenv("EAGLERAY_WORKER_IDLE_MS", "70")
    monkeypatch.setenv("RAY_maximum_startup_concurrency", "3")
    monkeypatch.setenv("RAY_lease_linger_ms", "9")
    monkeypatch.setenv("EAGLERAY_SPIN_US", "11")
    ray.init(num_cpus=1, _system_config={"lease_linger_ms": 6})
    settings = settings_of_worker()
    assert settings["worker_idle_ms"] == 70
    assert settings["workers_starting_max"] == 3
    assert settings["lease_linger_ms"] == 6
    assert settings["spin_us"] == 11


def test_the_store_has_the_size_of_the_argument_then_of_the_setting():
    ray.init(num_cpus=1, object_store_memory=100 << 20)
    assert settings_of_worker()["object_store_memory"] == 100 << 20
    ray.shutdown()
    ray.init(num_cpus=1, _system_config={"object_store_memory": 90 << 20})
    assert settings_of_worker()["object_store_memory"] == 90 << 20


@pytest.mark.parametrize(
    ("config", "error", "text"),
    [
        ({"worker_idel_ms": 1}, ValueError, "nearest name is 'worker_idle_ms'"),
        ({"maximum_startup_concurency": 1}, ValueError, "'maximum_startup_concurrency'"),
        ({"workers_max": 0}, ValueError, "from 1 to 100000 processes, not 0"),
        ({"workers_max": "many"}, ValueError, "whole number from 1"),
        ({"workers_max": None}, ValueError, "not None"),
        ({"workers_max": [1]}, ValueError, "not \\[1\\]"),
        (["workers_max"], TypeError, "must be a dict"),
    ],
)
def test_wrong_settings_are_errors_before_anything_starts(config, error, text):
    with pytest.raises(error, match=text):
        ray.init(num_cpus=1, _system_config=config)
    assert ray._state.state.node is None


def test_a_wrong_environment_is_an_error(monkeypatch):
    monkeypatch.setenv("EAGLERAY_WORKERS_MAX", "-1")
    with pytest.raises(ValueError, match="workers_max must be a whole number from 1"):
        ray.init(num_cpus=1)


def test_a_setting_that_control_keeps():
    ray.init(num_cpus=1, _system_config={"key_value_bytes_max": 10})
    from eagleray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(b"small", b"0123456789")
    with pytest.raises(Exception, match="key_value_bytes_max is 10"):
        _internal_kv_put(b"large", b"0123456789a")


def test_start_takes_them_and_a_connecting_driver_may_not(tmp_path):
    command = [sys.executable, "-m", "eagleray"]
    given = ["--temp-dir", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": "python"}
    wrong = subprocess.run(
        [*command, "start", "--head", *given, "--system-config", '{"worker_max": 1}'],
        env=env,
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 1 and "nearest name is 'workers_max'" in wrong.stderr
    config = json.dumps({"worker_idle_ms": 321})
    subprocess.run(
        [*command, "start", "--head", *given, "--num-cpus=1", "--system-config", config],
        env=env,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    try:
        with pytest.raises(ValueError, match="_system_config must not be provided"):
            ray.init(address="auto", _temp_dir=str(tmp_path), _system_config={"spin_us": 1})
        ray.init(address="auto", _temp_dir=str(tmp_path))
        assert settings_of_worker()["worker_idle_ms"] == 321
    finally:
        ray.shutdown()
        subprocess.run([*command, "stop", *given], env=env, check=True, stdout=subprocess.DEVNULL)


def test_the_document_is_current():
    spec = importlib.util.spec_from_file_location("settings", ROOT / "tools" / "settings.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.DOCUMENT.read_text() == tool.document(), "run: python tools/settings.py"
