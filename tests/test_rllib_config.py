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


def test_the_nets_of_a_builder_are_those_of_its_dict():
    """A checkpoint and a trial have the dict: what the two say of shared layers must not differ."""
    from eagleray.rllib.core.rl_module.default_model_config import DefaultModelConfig

    built = PPOConfig().rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[8]))
    assert built.model["vf_share_layers"] is True  # as in Ray, where PPO without it has two nets
    again = PPOConfig.from_dict(built.to_dict())
    assert again == built and again.model["vf_share_layers"] is True
    assert PPOConfig.from_dict({"vf_share_layers": True}).model["vf_share_layers"] is True
    assert PPOConfig().model["vf_share_layers"] is False


def test_models_have_the_names_of_ray_s_newest_stack():
    from torch import nn

    made = PPOConfig().rl_module(
        model_config={
            "head_fcnet_hiddens": [4],
            "fcnet_kernel_initializer": nn.init.ones_,
            "lstm_bias_initializer_kwargs": {"a": 1},
        }
    )
    assert made.model["post_fcnet_hiddens"] == [4]
    assert made.model["fcnet_weights_initializer"] is nn.init.ones_
    assert made.model["lstm_bias_initializer_config"] == {"a": 1}
    with pytest.raises(TypeError, match=r"config\['model'\] must be a dict.*not \[1\]"):
        PPOConfig().training(model=[1])


def test_the_config_of_an_algorithm_has_both_spellings():
    algorithm = PPO({"env": "CartPole-v1", "num_workers": 0, "lr": 0.5, "model": {}})
    config = algorithm.config
    assert config["num_workers"] == config["num_env_runners"] == config.num_env_runners == 0
    assert config.lr == config.get("lr") == 0.5 and config.lambda_ == config["lambda"] == 1.0
    assert "num_workers" in config and "nothing" not in config and config.get("nothing", 3) == 3
    assert pickle.loads(pickle.dumps(config)) == config and isinstance(config, dict)
    with pytest.raises(AttributeError, match="num_worker.*did you mean 'num_workers'"):
        _ = config.num_worker
    algorithm.stop()


def test_a_method_that_does_not_exist_names_the_nearest():
    with pytest.raises(AttributeError, match="did you mean 'environment'"):
        PPOConfig().enviroment("CartPole-v1")
    with pytest.raises(ValueError, match="unknown observation_filter 'x'; there are NoFilter"):
        PPO({"env": "CartPole-v1", "observation_filter": "x"})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": "0.1"}, r"config\['lr'\] must be a number >= 0 or points .*not '0.1'"),
        ({"lr": None}, r"config\['lr'\]"),
        ({"lr_schedule": "linear"}, r"config\['lr_schedule'\] must be .*points"),
        ({"gamma": "0.9"}, r"config\['gamma'\] must be a number from 0 to 1, not '0.9'"),
        ({"lambda": 2}, r"config\['lambda'\] must be a number from 0 to 1"),
        ({"num_sgd_iter": "2"}, r"config\['num_epochs'\] \(num_sgd_iter\) must be a whole number"),
        ({"num_workers": 1.5}, r"config\['num_env_runners'\] \(num_workers\).* not 1.5"),
        ({"sgd_minibatch_size": 0}, r"config\['minibatch_size'\].*>= 1 or None, not 0"),
        ({"rollout_fragment_length": 0}, "rollout_fragment_length.*>= 1 or 'auto', not 0"),
        ({"rollout_fragment_length": "all"}, "rollout_fragment_length.*not 'all'"),
        ({"model": {"fcnet_hiddens": 8}}, r"as \[256, 256\], not 8"),
        ({"model": {"fcnet_hiddens": "8"}}, "must be a list"),
        ({"env_config": [1]}, r"config\['env_config'\] must be a dict, not \[1\]"),
        ({"explore": "yes"}, r"config\['explore'\] must be True or False, not 'yes'"),
        ({"seed": "a"}, r"config\['seed'\] must be a whole number"),
        ({"callbacks": 3}, r"config\['callbacks'\] must be a class .*not 3"),
        ({"optimizer": {"type": "sgd"}}, "the optimiser is Adam, with betas, eps, weight_decay"),
        ({"input": "/tmp/nothing"}, r"PPO learns from what it samples itself: config\['input'\]"),
        ({"policies": {"a": None}}, "one agent.*'default_policy'"),
        ({"model": {"custom_model": "no"}}, r"ModelCatalog.register_custom_model\('no', cls\)"),
    ],
)
def test_a_wrong_value_says_which_and_what_it_may_be(settings, words):
    with pytest.raises(ValueError, match=words):
        PPO({"env": "CartPole-v1", "num_workers": 0, **settings})


def test_whole_numbers_may_be_written_as_floats():
    algorithm = PPO({"env": "CartPole-v1", "num_workers": 0.0, "train_batch_size": 1e3})
    assert algorithm.config["train_batch_size"] == 1000 and algorithm.config.num_workers == 0
    algorithm.stop()
