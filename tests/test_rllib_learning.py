"""Learning curves: PPO with settings that are known to work must reach a stated return within a stated number of steps.

Thresholds are generous: well under what the runs reach (docs/user/rllib.md has what is usual), well over what a
broken learner does.
"""

import numpy as np
import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our library")
pytest.importorskip("gymnasium")
if not PEER:
    from eagleray.rllib.algorithms.ppo import PPO

COMMON = {
    "num_workers": 0,
    "num_envs_per_worker": 8,
    "sgd_minibatch_size": 128,
    "num_sgd_iter": 10,
    "lambda": 0.95,
    "model": {"fcnet_hiddens": [64, 64]},
}
# environment: settings, iterations, return to reach
CURVES = {
    "CartPole-v1": (
        {"lr": 3e-4, "train_batch_size": 2048, "rollout_fragment_length": 256},
        40,
        250.0,
    ),
    "Acrobot-v1": (
        {
            "lr": 1e-3,
            "train_batch_size": 4096,
            "rollout_fragment_length": 512,
            "entropy_coeff": 0.01,
        },
        40,
        -250.0,
    ),
    "Pendulum-v1": (
        {
            "lr": 1e-3,
            "gamma": 0.9,
            "train_batch_size": 4096,
            "rollout_fragment_length": 512,
            "vf_clip_param": 1e9,
            "kl_coeff": 0.0,
            "clip_param": 0.2,
        },
        60,
        -350.0,
    ),
    "FrozenLake-v1": (
        {
            "env_config": {"is_slippery": False},
            "lr": 1e-3,
            "train_batch_size": 1024,
            "rollout_fragment_length": 128,
            "entropy_coeff": 0.01,
            "model": {"fcnet_hiddens": [32]},
        },
        30,
        0.9,
    ),
}


def best(env, seed, **more):
    settings, iterations, _ = CURVES[env]
    algorithm = PPO(config={**COMMON, **settings, **more, "env": env, "seed": seed})
    reached = max(algorithm.train()["episode_reward_mean"] for _ in range(iterations))
    algorithm.stop()
    return reached


@pytest.mark.parametrize("env", CURVES)
def test_a_seed_learns(env):
    assert best(env, 1) > CURVES[env][2]


@pytest.mark.long
@pytest.mark.parametrize("env", CURVES)
def test_most_seeds_learn(env):
    reached = [best(env, seed) for seed in range(1, 9)]
    assert np.median(reached) > CURVES[env][2], reached


@pytest.mark.long
def test_pytorch_s_learner_learns_as_the_native_one():
    pytest.importorskip("torch")
    native = [best("CartPole-v1", seed) for seed in range(1, 6)]
    torch = [best("CartPole-v1", seed, learner_backend="torch") for seed in range(1, 6)]
    assert min(np.median(native), np.median(torch)) > 250, (native, torch)


@pytest.mark.long
def test_the_program_this_is_for_reaches_two_hundred():
    """SCENARIO 4 with lr 0.001: a hundred perfect episodes in a row, in most seeds."""
    solved = 0
    for seed in range(1, 6):
        settings = {"env": "CartPole-v0", "num_workers": 0, "num_envs_per_worker": 3, "lr": 0.001}
        algorithm = PPO(config={**settings, "seed": seed})
        solved += any(algorithm.train()["episode_reward_mean"] >= 200 for _ in range(120))
        algorithm.stop()
    assert solved >= 4
