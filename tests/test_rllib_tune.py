"""RLlib under Tune: the article's cells, resources, checkpoints, changed settings."""

import os

import numpy as np
import pytest
from _support import PEER, ray

pytestmark = pytest.mark.skipif(PEER, reason="our library")
pytest.importorskip("gymnasium")
if not PEER:
    from eagleray import tune
    from eagleray.rllib.algorithms.ppo import PPO, PPOConfig

SMALL = {
    "env": "CartPole-v0",
    "num_gpus": 0,
    "train_batch_size": 400,
    "rollout_fragment_length": 100,
    "sgd_minibatch_size": 100,
    "num_sgd_iter": 1,
    "model": {"fcnet_hiddens": [8]},
}


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=4)
    yield
    ray.shutdown()


def test_train_outside_of_tune_writes_no_files(results):
    algo = PPO({**SMALL, "num_workers": 0})
    algo.train()
    algo.stop()
    assert not list(results.iterdir())


def test_the_program_this_is_for(cluster, tmp_path):
    """SCENARIO 4, smaller: three trials of four CPUs each on four CPUs, one after the other."""
    analysis = tune.run(
        "PPO",
        stop={"training_iteration": 2},
        config={**SMALL, "num_workers": 3, "lr": tune.grid_search([0.01, 0.001, 0.0001])},
        storage_path=str(tmp_path),
        checkpoint_at_end=True,
        verbose=0,
    )
    assert [trial.status for trial in analysis.trials] == ["TERMINATED"] * 3
    assert {trial.config["lr"] for trial in analysis.trials} == {0.01, 0.001, 0.0001}
    for trial in analysis.trials:
        result = trial.last_result
        assert result["training_iteration"] == 2 and result["timesteps_total"] == 1200
        assert result["num_healthy_workers"] == 3
        assert os.path.exists(os.path.join(trial.checkpoint.path, "rllib_checkpoint.json"))
    assert analysis.get_best_config(metric="episode_reward_mean", mode="max")["lr"] in (
        0.01,
        0.001,
        0.0001,
    )
    assert ray.available_resources()["CPU"] == 4.0


def test_a_builder_is_a_space_of_settings(cluster, tmp_path):
    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=1)
        .training(
            lr=tune.grid_search([0.1, 0.2]),
            train_batch_size=200,
            num_epochs=1,
            model={"fcnet_hiddens": [8]},
        )
    )
    tuner = tune.Tuner(
        "PPO",
        param_space=config,
        run_config=tune.RunConfig(
            stop={"training_iteration": 1}, storage_path=str(tmp_path), verbose=0
        ),
    )
    results = tuner.fit()
    assert sorted(result.metrics["config"]["lr"] for result in results) == [0.1, 0.2]


@pytest.mark.parametrize("name", ["IMPALA", "contrib/AlphaZero"])
def test_algorithms_that_are_not_there_say_so_at_once(cluster, name):
    with pytest.raises((NotImplementedError, ValueError), match=f"{name}.*PPO"):
        tune.run(name, config={"env": "PongNoFrameskip-v4", "num_workers": 7}, verbose=0)


def test_an_algorithm_becomes_another_trial_s():
    algorithm = PPO(config={**SMALL, "num_workers": 0, "lr": 0.1, "seed": 1})
    algorithm.train()
    assert algorithm.reset({**SMALL, "num_workers": 0, "lr": 0.2, "seed": 1})
    result = algorithm.train()
    assert result["info"]["learner"]["default_policy"]["learner_stats"]["cur_lr"] == pytest.approx(
        0.2
    )
    assert result["training_iteration"] == 1 and result["timesteps_total"] == 400


def test_results_can_be_written_as_json():
    import json

    algorithm = PPO(config={**SMALL, "num_workers": 0})
    result = algorithm.train()
    result.pop("config")
    json.dumps(
        result, default=lambda value: value.item() if isinstance(value, np.generic) else 1 / 0
    )
