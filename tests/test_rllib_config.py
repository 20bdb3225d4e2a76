"""RLlib's configuration: two styles, one table of keys."""

import pickle

import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our library")
if not PEER:
    from eagleray.rllib.algorithms.algorithm_config import AlgorithmConfig
    from eagleray.rllib.algorithms.ppo import PPO, PPOConfig
    from eagleray.rllib.algorithms.registry import get_algorithm_class


def test_both_styles_say_the_same():
    built = (
        PPOConfig()
        .environment("CartPole-v1", env_config={"a": 1})
        .env_runners(num_env_runners=3, num_envs_per_env_runner=2, rollout_fragment_length=100)
        .training(
            lr=0.001, minibatch_size=64, num_epochs=5, lambda_=0.9, model={"fcnet_hiddens": [32]}
        )
        .debugging(seed=7)
    )
    classic = PPOConfig.from_dict(
        {
            "env": "CartPole-v1",
            "env_config": {"a": 1},
            "num_workers": 3,
            "num_envs_per_worker": 2,
            "rollout_fragment_length": 100,
            "lr": 0.001,
            "sgd_minibatch_size": 64,
            "num_sgd_iter": 5,
            "lambda": 0.9,
            "model": {"fcnet_hiddens": [32]},
            "seed": 7,
            "clip_actions": False,
        }
    )
    assert built == classic
    assert built.to_dict()["lambda"] == 0.9 and built["num_workers"] == 3
    assert PPOConfig.from_dict(built.to_dict()) == built
    assert pickle.loads(pickle.dumps(built)) == built


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(KeyError, match="num_worker.*did you mean 'num_workers'"):
        PPOConfig.from_dict({"num_worker": 3})
    with pytest.raises(KeyError, match="fcnet_hidden.*did you mean 'fcnet_hiddens'"):
        PPOConfig.from_dict({"model": {"fcnet_hidden": [3]}})
    with pytest.raises(TypeError, match="clip_parm.*did you mean 'clip_param'"):
        PPOConfig().training(clip_parm=0.1)
    with pytest.raises(
        TypeError, match=r"training\(\) does not take 'num_env_runners'; env_runners\(\) does"
    ):
        PPOConfig().training(num_env_runners=1)
    with pytest.raises(AttributeError, match="did you mean 'gamma'"):
        PPOConfig().gama = 0.9


def test_users_may_have_keys_of_their_own_where_it_makes_sense():
    config = PPOConfig.from_dict(
        {"env_config": {"x": 1}, "model": {"custom_model_config": {"y": 2}}}
    )
    assert config.env_config == {"x": 1} and config.model["custom_model_config"] == {"y": 2}


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"framework": "tf2"}, NotImplementedError, 'framework="tf2"'),
        ({"framework": "tocrh"}, ValueError, "did you mean 'torch'"),
        ({"num_workers": -1}, ValueError, "num_env_runners"),
        ({"batch_mode": "truncate"}, ValueError, "did you mean 'truncate_episodes'"),
        ({"model": {"encoder_latent_dim": 8}}, NotImplementedError, "encoder_latent_dim"),
        ({"sgd_minibatch_size": 9000}, ValueError, "minibatch_size"),
        ({"observation_filter": "MeanStd"}, ValueError, "MeanStdFilter"),
    ],
)
def test_bad_values_are_named(settings, error, words):
    with pytest.raises(error, match=words):
        PPOConfig.from_dict({"env": "CartPole-v1", **settings}).validate()


def test_a_running_algorithm_s_configuration_is_frozen():
    config = PPOConfig()
    copy = config.copy()
    config.freeze()
    with pytest.raises(AttributeError, match="frozen"):
        config.lr = 1
    copy.lr = 1
    assert config.lr == 5e-5


def test_fragments_of_a_batch():
    config = PPOConfig().env_runners(num_env_runners=3).training(train_batch_size=4000)
    assert config.get_rollout_fragment_length() == 1334
    assert PPOConfig.from_dict({"num_workers": 3}).get_rollout_fragment_length() == 200


def test_algorithms_that_are_not_there_say_which_are():
    assert get_algorithm_class("PPO") is PPO
    with pytest.raises(NotImplementedError, match="IMPALA.*PPO"):
        get_algorithm_class("IMPALA")
    with pytest.raises(NotImplementedError, match="contrib/AlphaZero.*PPO"):
        get_algorithm_class("contrib/AlphaZero")
    with pytest.raises(ValueError, match="did you mean 'PPO'"):
        get_algorithm_class("PP0")


def test_what_a_trial_needs():
    request = PPO.default_resource_request({"env": "CartPole-v0", "num_workers": 3})
    assert request.bundles == [{"CPU": 1.0}] * 4
    assert AlgorithmConfig().num_workers == 2
