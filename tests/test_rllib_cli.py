"""eagleray rllib: train, evaluate, example."""

import glob
import json

import pytest
from _support import PEER, ray

pytestmark = pytest.mark.skipif(PEER, reason="our command line")
pytest.importorskip("gymnasium")
if not PEER:
    from click.testing import CliRunner
    from eagleray.rllib.algorithms.registry import get_algorithm_class
    from eagleray.rllib.cli import EXAMPLES, cli

SMALL = {
    "num_workers": 0,
    "train_batch_size": 200,
    "num_sgd_iter": 1,
    "model": {"fcnet_hiddens": [8]},
}


def invoke(*arguments):
    result = CliRunner().invoke(cli, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("results")
    stop = json.dumps({"training_iteration": 2})
    result = invoke(
        *(
            "train",
            "--run",
            "PPO",
            "--env",
            "CartPole-v1",
            "--stop",
            stop,
            "--config",
            json.dumps(SMALL),
        ),
        *("--local-dir", str(directory), "-n", "mine", "--num-cpus", "2"),
    )
    ray.shutdown()
    assert result.exit_code == 0, result.output
    return directory


def test_what_was_trained_lies_in_ray_s_layout(trained):
    (trial,) = glob.glob(f"{trained}/mine/PPO_*/")
    lines = [json.loads(line) for line in open(f"{trial}/result.json")]
    assert [line["training_iteration"] for line in lines] == [1, 2]
    assert lines[-1]["timesteps_total"] == 400
    assert json.load(open(f"{trial}/params.json"))["env"] == "CartPole-v1"


@pytest.mark.parametrize("command", ["evaluate", "rollout"])
def test_a_checkpoint_is_played(trained, tmp_path, command):
    (checkpoint,) = glob.glob(f"{trained}/mine/PPO_*/checkpoint_*")
    result = invoke(command, checkpoint, "--episodes", "3", "--out", str(tmp_path / "rewards.json"))
    assert result.exit_code == 0, result.output
    rewards = json.load(open(tmp_path / "rewards.json"))
    assert len(rewards) == 3 and f"{sum(rewards) / 3:.3f}" in result.output


def test_experiments_of_a_file(tmp_path):
    spec = {"run": "PPO", "env": "CartPole-v1", "stop": {"training_iteration": 1}, "config": SMALL}
    file = tmp_path / "tuned.json"
    file.write_text(json.dumps({"from_file": {**spec, "storage_path": str(tmp_path)}}))
    result = invoke("train", "file", str(file), "--num-cpus", "2")
    ray.shutdown()
    assert result.exit_code == 0, result.output


def test_mistakes_are_named():
    assert "give --run" in invoke("train").output
    assert "not JSON" in invoke("train", "--run", "PPO", "--config", "{").output
    assert "did you mean 'cartpole-ppo'" in invoke("example", "cartpole_ppo").output


def test_examples_have_settings_that_exist():
    assert "cartpole-grid" in invoke("example").output
    for spec in EXAMPLES.values():
        get_algorithm_class(spec["run"])._config_class.from_dict(spec["config"])


def test_train_has_the_options_of_tune_run(tmp_path):
    result = invoke(
        *("train", "--run", "PPO", "--env", "CartPole-v1", "--num-cpus", "2", "-n", "more"),
        *(
            "--stop",
            '{"training_iteration": 2}',
            "--config",
            json.dumps({**SMALL, "num_envs_per_worker": 2}),
        ),
        *("--local-dir", str(tmp_path), "--checkpoint-freq", "1", "--keep-checkpoints-num", "1"),
        *("--max-failures", "1", "--scheduler", "fifo", "--export-formats", "checkpoint"),
    )
    ray.shutdown()
    assert result.exit_code == 0, result.output
    (checkpoint,) = glob.glob(f"{tmp_path}/more/PPO_*/checkpoint_*")
    assert glob.glob(f"{tmp_path}/more/PPO_*/*/policy_state.pkl") or glob.glob(
        f"{tmp_path}/more/PPO_*/policy_state.pkl"
    )
    played = invoke("evaluate", checkpoint, "--episodes", "3")
    assert played.exit_code == 0, played.output
    assert all(f"Episode #{number}: reward" in played.output for number in (1, 2, 3, 4))
