"""Every key of a configuration: it acts (and a test shows it), it has no effect (and a warning and the documents say so), or
it raises by name. None is silent."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest
from _support import PEER, ray

if PEER:
    pytest.skip("our library", allow_module_level=True)
else:
    import gymnasium
    from eagleray import tune
    from eagleray.rllib.algorithms.algorithm_config import AlgorithmConfig
    from eagleray.rllib.algorithms.config_tables import COMMON, IGNORED
    from eagleray.rllib.algorithms.ppo import PPO, PPOConfig
    from eagleray.rllib.env import MultiAgentEnv
    from eagleray.rllib.models import ModelCatalog, Preprocessor
    from eagleray.rllib.models.defaults import MODEL_DEFAULTS, MODEL_IGNORED
    from gymnasium.spaces import Box, Dict, Discrete

ROOT = Path(__file__).parents[1]
ENV, PPO_TESTS, CALLS = "test_rllib_env", "test_rllib_ppo", "test_rllib_callbacks"
KINDS, MODELS, SEVERAL = "test_rllib_env_kinds", "test_rllib_models", "test_rllib_multi_agent"
OFFLINE, ALGOS, KEYS, CONFIG = (
    "test_rllib_offline",
    "test_rllib_algorithms",
    "test_rllib_keys",
    "test_rllib_config",
)

# key: the test that shows that it acts
ACTS = {
    "env env_config": (ENV, "registered_names_get_an_env_context"),
    "observation_space action_space": (ALGOS, "experience_without_an_environment"),
    "clip_rewards": (ENV, "rewards_are_clipped_for_learning_and_reported_whole"),
    "normalize_actions clip_actions": (KEYS, "actions_are_normalised_or_clipped_or_neither"),
    "is_atari preprocessor_pref": (KINDS, "pictures_that_deepmind_does_not_wrap"),
    "disable_env_checking": (KEYS, "environments_are_checked_unless_told_not_to"),
    "env_task_fn": (CALLS, "curricula_set_tasks"),
    "horizon": (ENV, "horizons_end_episodes"),
    "soft_horizon no_done_at_end": (KEYS, "horizons_without_resets_and_ends_that_are_none"),
    "num_env_runners": (PPO_TESTS, "three_workers_make_4200_steps_of_4000"),
    "num_envs_per_env_runner rollout_fragment_length": (CONFIG, "fragments_of_a_batch"),
    "num_cpus_per_env_runner num_gpus_per_env_runner custom_resources_per_env_runner num_gpus "
    "num_cpus_for_main_process custom_resources_for_main_process placement_strategy": (
        KEYS,
        "resources_are_asked_for",
    ),
    "create_env_on_driver": (KEYS, "an_environment_in_the_algorithm_itself"),
    "batch_mode": (ENV, "complete_episodes"),
    "sample_timeout_s": (CALLS, "a_hanging_environment_is_named_and_its_worker_replaced"),
    "evaluation_sample_timeout_s": (KEYS, "evaluation_has_a_time_out_of_its_own"),
    "observation_filter": (ENV, "observation_filters_are_learned_together"),
    "update_worker_filter_stats": (KEYS, "filters_can_be_left_as_they_are"),
    "explore": (KEYS, "without_exploration_the_likeliest_action_is_taken"),
    "exploration_config": (KEYS, "ways_of_exploring"),
    "remote_worker_envs": (KINDS, "environments_in_processes_of_their_own"),
    "gym_env_vectorize_mode": (KEYS, "asynchronous_vectors_are_processes"),
    "gamma": (MODELS, "torch_and_native_learn_alike_from_the_same_batch"),
    "lr lr_schedule": (MODELS, "schedules_go_by_time_steps"),
    "grad_clip grad_clip_by": (KEYS, "gradients_are_clipped"),
    "train_batch_size train_batch_size_per_learner": (KEYS, "sizes_of_batches"),
    "model rl_module_spec": (MODELS, "an_rl_module"),
    "optimizer": (KEYS, "settings_of_the_optimiser"),
    "learner_backend": (PPO_TESTS, "the_backend_can_be_chosen_and_says_why_not"),
    "cuda_graph": (KEYS, "graphs_can_be_turned_off"),
    "num_learners num_cpus_per_learner": ("test_rllib_learners", "settings"),
    "num_gpus_per_learner": (KEYS, "a_gpu_that_is_not_there_is_named"),
    "evaluation_interval evaluation_duration evaluation_num_env_runners evaluation_config": (
        PPO_TESTS,
        "evaluation_in_workers_of_its_own",
    ),
    "evaluation_duration_unit": (PPO_TESTS, "evaluation_by_time_steps"),
    "evaluation_parallel_to_training": (PPO_TESTS, "evaluation_beside_training"),
    "custom_evaluation_function": (CALLS, "an_evaluation_of_the_user_s_own"),
    "always_attach_evaluation_results": (KEYS, "evaluations_stay_in_the_results"),
    "in_evaluation": (KEYS, "filters_can_be_left_as_they_are"),
    "policies policy_mapping_fn": (SEVERAL, "each_agent_has_its_policy"),
    "policies_to_train": (SEVERAL, "only_policies_to_train_learn"),
    "observation_fn": (KEYS, "agents_may_see_what_others_see"),
    "algorithm_config_overrides_per_module": (KEYS, "policies_have_settings_of_their_own"),
    "count_steps_by": (KEYS, "steps_are_counted_by_agents"),
    "input input_config output output_config": (ALGOS, "what_is_sampled_is_written_and_read_back"),
    "output_compress_columns output_max_file_size": (
        ALGOS,
        "files_are_cut_and_several_policies_kept",
    ),
    "postprocess_inputs": (ALGOS, "experience_is_imitated"),
    "shuffle_buffer_size": (OFFLINE, "the_buffer_s_size_is_a_setting"),
    "actions_in_input_normalized": (OFFLINE, "actions_are_normalised_unless_they_are"),
    "off_policy_estimation_methods": (OFFLINE, "both_spellings_of_estimators"),
    "ignore_env_runner_failures restart_failed_env_runners max_num_env_runner_restarts": (
        PPO_TESTS,
        "a_dead_worker_can_be_left_out_or_end_the_run",
    ),
    "delay_between_env_runner_restarts_s num_consecutive_env_runner_failures_tolerance": (
        PPO_TESTS,
        "an_environment_s_error_in_a_worker_is_raised_or_ignored",
    ),
    "restart_failed_sub_environments": (ENV, "a_broken_sub_environment_is_made_anew"),
    "callbacks": (CALLS, "every_hook_is_called_with_what_it_needs"),
    "metrics_num_episodes_for_smoothing": (
        PPO_TESTS,
        "means_are_over_an_iteration_s_episodes_filled_up_to_a_hundred",
    ),
    "keep_per_episode_custom_metrics": (KEYS, "custom_metrics_of_each_episode"),
    "min_time_s_per_iteration min_sample_timesteps_per_iteration min_train_timesteps_per_iteration": (
        KEYS,
        "iterations_have_minima",
    ),
    "log_level": (KEYS, "the_level_of_messages"),
    "log_sys_usage": (KEYS, "the_machine_s_use_is_left_out"),
    "seed": (PPO_TESTS, "a_seed_gives_the_same_bits_whatever_the_number_of_workers"),
    "logger_creator": (KEYS, "a_logger_of_one_s_own"),
    "export_native_model_files": (KEYS, "checkpoints_may_have_nets_for_other_programs"),
}
RAISES = {"framework": "tf2", "sample_async": True}
MODEL_ACTS = {
    "fcnet_hiddens fcnet_activation vf_share_layers": (
        MODELS,
        "torch_and_native_learn_alike_from_the_same_batch",
    ),
    "fcnet_weights_initializer fcnet_weights_initializer_config fcnet_bias_initializer "
    "fcnet_bias_initializer_config post_fcnet_hiddens post_fcnet_activation "
    "post_fcnet_weights_initializer post_fcnet_weights_initializer_config post_fcnet_bias_initializer "
    "post_fcnet_bias_initializer_config conv_kernel_initializer conv_kernel_initializer_config "
    "conv_bias_initializer conv_bias_initializer_config lstm_weights_initializer "
    "lstm_weights_initializer_config lstm_bias_initializer lstm_bias_initializer_config": (
        KEYS,
        "initialisers",
    ),
    "conv_filters conv_activation": (MODELS, "images_go_through_convolutions"),
    "free_log_std log_std_clip_param no_final_linear": (KEYS, "outputs_of_nets"),
    "use_lstm max_seq_len lstm_cell_size": (MODELS, "memory_is_learned"),
    "lstm_use_prev_action lstm_use_prev_reward lstm_use_prev_action_reward": (
        MODELS,
        "previous_actions_and_rewards_as_inputs",
    ),
    "use_attention attention_num_transformer_units attention_dim attention_num_heads "
    "attention_head_dim attention_memory_inference attention_position_wise_mlp_dim "
    "attention_init_gru_gate_bias attention_use_n_prev_actions attention_use_n_prev_rewards": (
        KEYS,
        "attention_nets_have_the_sizes_that_are_set",
    ),
    "fcnet_use_layernorm head_fcnet_use_layernorm": (
        MODELS,
        "layers_are_normalised_where_the_configuration_says_so",
    ),
    "framestack": (KINDS, "atari_s_rewards_are_clipped_for_learning_only"),
    "dim grayscale zero_mean": ("test_rllib_utils", "preprocessors_of_atari_s_memory_and_pictures"),
    "custom_model custom_model_config": (MODELS, "custom_models_get_their_settings_and_their_loss"),
    "custom_action_dist": (MODELS, "a_distribution_of_the_user_s_own"),
    "custom_preprocessor": (KEYS, "a_preprocessor_of_one_s_own"),
}
MODEL_RAISES = {"encoder_latent_dim": 8}

SMALL = {
    "num_workers": 0,
    "train_batch_size": 40,
    "rollout_fragment_length": 20,
    "sgd_minibatch_size": 20,
    "num_sgd_iter": 1,
    "model": {"fcnet_hiddens": [8]},
    "seed": 1,
}


def keys_of(table):
    return [key for keys in table for key in keys.split()]


@pytest.mark.parametrize(
    ("acts", "silent", "raises", "every"),
    [
        (ACTS, IGNORED, RAISES, {*COMMON, *IGNORED}),
        (MODEL_ACTS, MODEL_IGNORED, MODEL_RAISES, {*MODEL_DEFAULTS}),
    ],
    ids=["config", "model"],
)
def test_every_key_is_accounted_for(acts, silent, raises, every):
    listed = [*keys_of(acts), *silent, *raises]
    assert sorted(listed) == sorted(set(listed)), "a key is listed twice"
    assert set(listed) == every


@pytest.mark.parametrize("place", sorted({*ACTS.values(), *MODEL_ACTS.values()}))
def test_what_shows_that_they_act_is_there(place):
    module, name = place
    text = (ROOT / "tests" / f"{module}.py").read_text()
    assert f"def test_{name}(" in text


# §1.1 of the list of what programs of 2021 set, by its own names
CLASSIC = """num_workers num_envs_per_worker rollout_fragment_length batch_mode horizon soft_horizon no_done_at_end
sample_async remote_worker_envs remote_env_batch_wait_ms observation_filter synchronize_filters compress_observations
preprocessor_pref num_gpus train_batch_size model optimizer lr gamma framework eager_tracing seed min_iter_time_s
timesteps_per_iteration metrics_smoothing_episodes env env_config normalize_actions clip_rewards clip_actions
evaluation_interval evaluation_num_episodes evaluation_config evaluation_num_workers custom_eval_function explore
exploration_config num_cpus_per_worker num_gpus_per_worker custom_resources_per_worker num_cpus_for_driver memory
memory_per_worker object_store_memory object_store_memory_per_worker input input_evaluation postprocess_inputs
shuffle_buffer_size output output_compress_columns output_max_file_size policies policy_mapping_fn policies_to_train
observation_fn replay_mode callbacks log_level log_sys_usage ignore_worker_failures monitor fake_sampler logger_config
use_critic use_gae lambda kl_coeff kl_target sgd_minibatch_size num_sgd_iter shuffle_sequences vf_share_layers
vf_loss_coeff entropy_coeff entropy_coeff_schedule lr_schedule clip_param vf_clip_param grad_clip simple_optimizer
multiagent custom_resources_per_worker""".split()


@pytest.mark.parametrize("key", CLASSIC)
def test_keys_of_2021_are_known(key):
    if key != "multiagent":
        assert key in PPOConfig()


@pytest.mark.parametrize("key", [*IGNORED, *(f"model/{key}" for key in MODEL_IGNORED)])
def test_settings_without_effect_are_told_and_documented(key, caplog):
    odd = "something else"
    config = PPOConfig()
    assert not config.without_effect()
    name = key.removeprefix("model/")
    if name != key:
        config.training(model={name: odd})
    else:
        config[name] = odd
    assert config.without_effect() == [key]
    text = (ROOT / "docs" / "user" / "rllib.md").read_text()
    assert f"`{name}`" in text, f"docs/user/rllib.md does not mention {name}"


def test_the_warning_names_them_once(caplog):
    with caplog.at_level(logging.WARNING, "eagleray.rllib"):
        PPO({**SMALL, "env": "CartPole-v1", "compress_observations": True, "monitor": True})
    (record,) = [r for r in caplog.records if "no effect" in r.message]
    assert "compress_observations, monitor" in record.message or (
        "monitor" in record.message and "compress_observations" in record.message
    )


@pytest.mark.parametrize(("key", "value"), [*RAISES.items(), *MODEL_RAISES.items()])
def test_what_is_not_here_raises_by_name(key, value):
    settings = {"model": {key: value}} if key in MODEL_RAISES else {key: value}
    with pytest.raises(NotImplementedError, match=key):
        PPO({"env": "CartPole-v1", **settings})


# What acts, where no other test shows it


class Line(gymnasium.Env):
    """Episodes of ten steps. The reward is the (first) action; the observation the step."""

    def __init__(self, config):
        self.action_space = config.get("actions", Discrete(2))
        self.observation_space = Box(0.0, 10.0, (1,), np.float32)
        self.seen = []

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.seen.append(action)
        self.steps += 1
        reward = float(np.ravel(action)[0])
        return np.full(1, self.steps, np.float32), reward, self.steps >= 10, False, {}


def made(env=Line, **settings):
    return PPO({**SMALL, **settings}, env)


def env_of(algo):
    return algo.workers.local_worker().env


def test_actions_are_normalised_or_clipped_or_neither():
    space = Box(2.0, 3.0, (1,), np.float32)
    seen = {}
    for name, settings in {
        "normalised": {},
        "clipped": {"normalize_actions": False, "clip_actions": True},
        "raw": {"normalize_actions": False, "clip_actions": False},
    }.items():
        algo = made(env_config={"actions": space}, **settings)
        algo.sample(20)
        seen[name] = np.ravel(env_of(algo).seen)
    assert 2.0 < np.median(seen["normalised"]) < 3.0
    assert np.ptp(seen["normalised"]) > 0.3
    assert seen["clipped"].min() == 2.0 and seen["clipped"].max() <= 3.0
    assert seen["raw"].min() < 2.0


def test_environments_are_checked_unless_told_not_to():
    class NoSpace(Line):
        def __init__(self, config):
            super().__init__(config)
            self.action_space = "two"

    spaces = {"observation_space": Box(0.0, 10.0, (1,)), "action_space": Discrete(2)}
    with pytest.raises(ValueError, match="action_space of the environment NoSpace"):
        made(NoSpace, **spaces)
    assert made(NoSpace, **spaces, disable_env_checking=True).train()["timesteps_total"] == 40


def test_horizons_without_resets_and_ends_that_are_none():
    algo = made(horizon=4, soft_horizon=True)
    batch = algo.sample(20)
    assert batch["obs"][:10, 0].tolist() == list(range(10))  # the environment goes on
    assert batch["truncateds"][:10].tolist() == [False, False, False, True] * 2 + [False] * 2
    assert batch["terminateds"][9]
    batch = made(no_done_at_end=True).sample(20)
    assert not batch["terminateds"].any()
    assert batch["truncateds"][9]


def test_resources_are_asked_for():
    config = {
        "num_workers": 2,
        "num_cpus_per_worker": 2,
        "num_gpus_per_worker": 0.5,
        "custom_resources_per_worker": {"sim": 1},
        "num_cpus_for_driver": 3,
        "num_gpus": 1,
        "custom_resources_for_main_process": {"big": 2},
        "placement_strategy": "SPREAD",
    }
    factory = PPO.default_resource_request(config)
    driver, *workers = factory.bundles
    assert driver == {"CPU": 3, "GPU": 1, "big": 2}
    assert workers == [{"CPU": 2, "GPU": 0.5, "sim": 1}] * 2
    assert factory.strategy == "SPREAD"


@pytest.fixture
def cluster():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


def test_an_environment_in_the_algorithm_itself(cluster):
    for wanted in (False, True):
        algo = made(num_workers=1, create_env_on_driver=wanted)
        assert (algo.workers.local_worker().vector_env is not None) is wanted
        algo.stop()


def test_evaluation_has_a_time_out_of_its_own():
    algo = made(sample_timeout_s=7.0, evaluation_sample_timeout_s=9.0)
    assert algo._evaluation._evaluation_config["sample_timeout_s"] == 9.0
    assert algo.get_config()["sample_timeout_s"] == 7.0


def test_filters_can_be_left_as_they_are():
    for learns in (True, False):
        algo = made(observation_filter="MeanStdFilter", update_worker_filter_stats=learns)
        algo.train()
        stat = algo.workers.local_worker().filters["default_policy"].stat
        assert (stat.num > 0) is learns
    before = algo.workers.local_worker().filters["default_policy"].stat.num
    algo.evaluate()
    assert algo.workers.local_worker().filters["default_policy"].stat.num == before


def test_without_exploration_the_likeliest_action_is_taken():
    for backend in ("native", "torch"):
        pytest.importorskip("torch") if backend == "torch" else None
        algo = made(explore=False, learner_backend=backend)
        algo.train()
        policy = algo.get_policy()
        best = np.argmax(
            policy.compute_actions(np.zeros((1, 1), np.float32), explore=False)[2][
                "action_dist_inputs"
            ]
        )
        assert env_of(algo).seen[0] == best


def always_alike(seen):
    """The same action in each episode's n-th step; in the first all logits of a new net are equal."""
    return np.ptp(np.reshape(seen, (20, 10))[:, 1:], axis=0).max() == 0


@pytest.mark.parametrize(
    ("space", "settings", "check"),
    [
        (Discrete(2), {"type": "StochasticSampling"}, lambda seen: 0.3 < np.mean(seen) < 0.7),
        (
            Discrete(2),
            {"type": "StochasticSampling", "random_timesteps": 1000},
            lambda seen: 0.3 < np.mean(seen) < 0.7,
        ),
        (Discrete(2), {"type": "Random"}, lambda seen: 0.3 < np.mean(seen) < 0.7),
        (
            Discrete(2),
            {"type": "EpsilonGreedy", "initial_epsilon": 0.0, "final_epsilon": 0.0},
            lambda seen: always_alike(seen),
        ),
        (
            Discrete(2),
            {"type": "EpsilonGreedy", "initial_epsilon": 1.0, "final_epsilon": 1.0},
            lambda seen: 0.3 < np.mean(seen) < 0.7,
        ),
        (Discrete(2), {"type": "SoftQ", "temperature": 1e-6}, lambda seen: always_alike(seen)),
        (
            Box(2.0, 3.0, (1,), np.float32),
            {"type": "Random"},
            lambda seen: np.min(seen) < 2.1 and np.max(seen) > 2.9,
        ),
        (
            Box(2.0, 3.0, (1,), np.float32),
            {"type": "GaussianNoise", "random_timesteps": 0, "stddev": 0.01},
            lambda seen: 0.0 < np.std(seen) < 0.02,
        ),
        (
            Box(2.0, 3.0, (1,), np.float32),
            {"type": "OrnsteinUhlenbeckNoise", "random_timesteps": 0},
            lambda seen: np.abs(np.diff(np.ravel(seen))).mean() < 0.05,
        ),
    ],
)
def test_ways_of_exploring(space, settings, check):
    pytest.importorskip("torch")
    algo = made(env_config={"actions": space}, exploration_config=settings, lr=0.0)
    batch = algo.sample(200)
    assert check(env_of(algo).seen)
    assert np.isfinite(batch["action_logp"]).all()
    backend = algo.train()["info"]["learner"]["default_policy"]["learner_backend"]
    assert backend == ("native" if settings == {"type": "StochasticSampling"} else "torch")


def test_exploring_says_with_which_probability_it_chose():
    torch = pytest.importorskip("torch")
    from eagleray.rllib.models.torch.torch_action_dist import TorchCategorical, TorchDiagGaussian
    from eagleray.rllib.utils.exploration import EpsilonGreedy, GaussianNoise, Random

    masked = torch.tensor([[1.0, 2.0, -3.4e38, 0.0]]).repeat(4000, 1)
    way = EpsilonGreedy(Discrete(4), initial_epsilon=0.6, final_epsilon=0.6)
    actions, logp = way.get_exploration_action(
        action_distribution=TorchCategorical(masked), timestep=0
    )
    shares = np.bincount(actions.numpy(), minlength=4) / 4000
    assert shares == pytest.approx([0.2, 0.6, 0.0, 0.2], abs=0.04)
    assert torch.exp(logp[actions == 1][0]) == pytest.approx(0.6)
    assert torch.exp(logp[actions == 0][0]) == pytest.approx(0.2)
    falling = EpsilonGreedy(Discrete(4), warmup_timesteps=10, epsilon_timesteps=90)
    assert [round(falling.epsilon_schedule(t), 3) for t in (0, 10, 55, 100, 900)] == [
        1.0,
        1.0,
        0.525,
        0.05,
        0.05,
    ]
    box = Box(-5.0, 5.0, (2,), np.float32)
    zero = TorchDiagGaussian(torch.zeros(3, 4))
    noise = GaussianNoise(box, random_timesteps=0, stddev=0.5)
    actions, logp = noise.get_exploration_action(action_distribution=zero, timestep=0)
    expected = torch.distributions.Normal(0.0, 0.5).log_prob(actions).sum(1)
    assert logp.tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    _, logp = Random(box, policy_config={"normalize_actions": False}).draw(zero)
    assert logp[0] == pytest.approx(-2 * np.log(10.0))
    with pytest.raises(ValueError, match="EpsilonGreedy is for Discrete"):
        EpsilonGreedy(box)


def test_a_way_of_exploring_of_one_s_own():
    torch = pytest.importorskip("torch")
    from eagleray.rllib.utils.exploration import Exploration

    class Always(Exploration):
        def __init__(self, action_space, *, action, **kwargs):
            super().__init__(action_space, **kwargs)
            self.action = action

        def get_exploration_action(self, *, action_distribution, timestep, explore=True):
            actions = torch.full((len(action_distribution.inputs),), self.action)
            return actions, action_distribution.logp(actions)

    algo = made(exploration_config={"type": Always, "action": 1})
    assert algo.train()["episode_reward_mean"] == 10.0
    with pytest.raises(NotImplementedError, match="Curiosity"):
        made(exploration_config={"type": "Curiosity"})
    with pytest.raises(ValueError, match="did you mean 'EpsilonGreedy'"):
        made(exploration_config={"type": "EpsilonGredy"})


def test_asynchronous_vectors_are_processes(cluster):
    from eagleray.rllib.env.remote_env import RemoteEnv

    algo = made(gym_env_vectorize_mode="async")
    assert isinstance(env_of(algo), RemoteEnv)
    algo.stop()
    with pytest.raises(NotImplementedError, match="vector_entry_point"):
        made(gym_env_vectorize_mode="vector_entry_point")


def test_gradients_are_clipped():
    pytest.importorskip("torch")
    for by, bound in (("global_norm", 1e-3), ("norm", 1e-3 * 9), ("value", 1.0)):
        algo = made(grad_clip=1e-3, grad_clip_by=by, learner_backend="torch")
        algo.train()
        gradients = [p.grad for p in algo.get_policy().model.parameters() if p.grad is not None]
        total = float(sum((g**2).sum() for g in gradients)) ** 0.5
        assert 0 < total <= bound * 1.01
        assert max(float(g.abs().max()) for g in gradients) <= 1e-3 * 1.01


def test_sizes_of_batches():
    assert PPOConfig().training(train_batch_size=500).total_train_batch_size == 500
    config = PPOConfig().training(train_batch_size_per_learner=300).learners(num_learners=2)
    assert config.total_train_batch_size == 600


def test_settings_of_the_optimiser():
    pytest.importorskip("torch")
    algo = made(optimizer={"eps": 1e-4, "betas": (0.8, 0.9)}, learner_backend="torch")
    group = algo.get_policy().optimizer.param_groups[0]
    assert (group["eps"], tuple(group["betas"])) == (1e-4, (0.8, 0.9))


def test_a_gpu_that_is_not_there_is_named():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(RuntimeError, match="no CUDA device"):
        made(num_gpus_per_learner=1)


def test_graphs_can_be_turned_off(monkeypatch):
    torch = pytest.importorskip("torch")
    from types import SimpleNamespace

    from eagleray.rllib.policy import torch_updates

    for name in ("CudaRecorder", "RecordedUpdates", "EagerUpdates"):
        monkeypatch.setattr(torch_updates, name, lambda *_, name=name: name)
    adam = torch.optim.Adam([torch.zeros(1)])
    for graph, kind in ((True, "RecordedUpdates"), (False, "EagerUpdates")):
        policy = SimpleNamespace(
            device=SimpleNamespace(type="cuda"), config={"cuda_graph": graph}, optimizer=adam
        )
        assert torch_updates.make_updates(policy) == kind


def test_evaluations_stay_in_the_results():
    for stays in (True, False):
        algo = made(evaluation_interval=2, always_attach_evaluation_results=stays)
        found = ["evaluation" in algo.train() for _ in range(3)]
        assert found == [False, True, stays]


class Pair(MultiAgentEnv):
    """Two agents that see different things; ten steps."""

    def __init__(self, config=None):
        self.agents = self.possible_agents = ["a", "b"]
        self.observation_space = Box(0.0, 99.0, (1,), np.float32)
        self.action_space = Discrete(2)
        super().__init__()

    def _obs(self):
        return {"a": np.full(1, 1, np.float32), "b": np.full(1, 7, np.float32)}

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return self._obs(), {}

    def step(self, action_dict):
        self.steps += 1
        ends = {"__all__": self.steps >= 10}
        return self._obs(), {"a": 1.0, "b": 2.0}, ends, {"__all__": False}, {}


TWO = {"policies": {"a", "b"}, "policy_mapping_fn": lambda agent, *_, **__: agent}


def test_agents_may_see_what_others_see():
    def together(agent_obs, worker, base_env, policies, episode, **kwargs):
        assert set(policies) == {"a", "b"}
        return {agent: agent_obs[agent] + 10 for agent in agent_obs}

    algo = made(Pair, multiagent={**TWO, "observation_fn": together})
    batch = algo.sample(40)
    assert set(np.ravel(batch["a"]["obs"])) == {11.0}
    assert set(np.ravel(batch["b"]["new_obs"])) == {17.0}


def test_policies_have_settings_of_their_own():
    config = PPOConfig().environment(Pair).env_runners(num_env_runners=0)
    config.multi_agent(
        **TWO, algorithm_config_overrides_per_module={"a": AlgorithmConfig.overrides(gamma=0.5)}
    )
    algo = config.training(train_batch_size=200).build_algo()
    assert algo.get_policy("a").config["gamma"] == 0.5
    assert algo.get_policy("b").config["gamma"] == 0.99


def test_ends_that_are_none_of_several_agents():
    batch = made(Pair, multiagent=TWO, no_done_at_end=True).sample(40)
    assert not batch["a"]["terminateds"].any()
    assert batch["a"]["truncateds"][9]
    with pytest.raises(NotImplementedError, match="soft_horizon"):
        made(Pair, multiagent=TWO, soft_horizon=True, horizon=3)


def test_steps_are_counted_by_agents():
    for by, steps in (("env_steps", 40), ("agent_steps", 80)):
        algo = made(Pair, multiagent={**TWO, "count_steps_by": by})
        assert algo.train()["timesteps_total"] == steps


def test_custom_metrics_of_each_episode():
    def ended(*, episode, **_):
        episode.custom_metrics["length"] = episode.length

    for keep in (False, True):
        config = PPOConfig().environment(Line).env_runners(num_env_runners=0)
        config.training(train_batch_size=40, minibatch_size=20, num_epochs=1)
        config.callbacks(on_episode_end=ended).reporting(keep_per_episode_custom_metrics=keep)
        metrics = config.build_algo().train()["custom_metrics"]
        assert metrics == ({"length": [10] * 4} if keep else metrics)
        assert keep or metrics["length_mean"] == 10.0


def test_iterations_have_minima():
    assert made(timesteps_per_iteration=100).train()["timesteps_total"] == 120
    assert made(min_train_timesteps_per_iteration=50).train()["info"]["num_env_steps_trained"] == 80
    result = made(min_iter_time_s=0.2).train()
    assert result["time_this_iter_s"] >= 0.2


def test_the_level_of_messages():
    logger = logging.getLogger("eagleray.rllib")
    before = logger.level
    try:
        made(log_level="ERROR")
        assert logger.level == logging.ERROR
        made()
        assert logger.level == logging.ERROR  # what nobody asked for changes nothing
    finally:
        logger.setLevel(before)


def test_the_machine_s_use_is_left_out():
    assert "perf" in made().train()
    assert "perf" not in made(log_sys_usage=False).train()


def test_a_logger_of_one_s_own():
    got = []

    class Logger:
        def __init__(self, config):
            self.logdir = None

        def on_result(self, result):
            got.append(result["training_iteration"])

        def close(self):
            pass

        def flush(self):
            pass

    algo = made(logger_creator=Logger)
    algo.train()
    assert got == [1]


def test_checkpoints_may_have_nets_for_other_programs(tmp_path):
    pytest.importorskip("torch")
    algo = made(export_native_model_files=True)
    path = Path(algo.save_to_path(tmp_path / "checkpoint"))
    assert (path / "policies" / "default_policy" / "model" / "model.pt").exists()


class Picture(gymnasium.Env):
    observation_space = Box(0, 255, (10, 10, 1), np.uint8)
    action_space = Discrete(2)

    def __init__(self, config):
        pass

    def reset(self, *, seed=None, options=None):
        return np.zeros((10, 10, 1), np.uint8), {}

    def step(self, action):
        return np.zeros((10, 10, 1), np.uint8), 0.0, True, False, {}


def test_initialisers():
    torch = pytest.importorskip("torch")

    def sevens(weight):
        weight.fill_(7.0)

    def weights_of(env, prefix, **model):
        algo = made(env, model={"fcnet_hiddens": [4], **model}, learner_backend="auto")
        named = algo.get_policy().model.named_parameters()
        return {name: value for name, value in named if re.search(prefix, name)}

    constant = {"val": 3.0}
    found = weights_of(
        Line,
        r"_trunk\.",
        fcnet_weights_initializer="constant",
        fcnet_weights_initializer_config=constant,
        fcnet_bias_initializer=sevens,
        post_fcnet_hiddens=[5],
        post_fcnet_activation="tanh",
        post_fcnet_weights_initializer=sevens,
        post_fcnet_bias_initializer="constant_",
        post_fcnet_bias_initializer_config=constant,
    )
    values = {name.split("_trunk.")[1]: value for name, value in found.items()}
    assert [float(v.flatten()[0]) for _, v in sorted(values.items())] == [7.0, 3.0, 3.0, 7.0]
    found = weights_of(
        Picture,
        r"_trunk\.0",
        conv_filters=[[2, [5, 5], 2], [3, [5, 5], 1]],
        conv_kernel_initializer=sevens,
        conv_bias_initializer="constant",
        conv_bias_initializer_config=constant,
    )
    assert {float(v.flatten()[0]) for v in found.values()} == {7.0, 3.0}
    found = weights_of(
        Line,
        r"_lstm",
        use_lstm=True,
        lstm_cell_size=3,
        lstm_weights_initializer=sevens,
        lstm_bias_initializer="constant",
        lstm_bias_initializer_config=constant,
    )
    assert {float(v.flatten()[0]) for v in found.values()} == {7.0, 3.0}
    with pytest.raises(ValueError, match="no initialiser 'nothing'"):
        weights_of(Line, "x", fcnet_weights_initializer="nothing")
    assert torch


def test_outputs_of_nets():
    pytest.importorskip("torch")
    box = {"actions": Box(-1.0, 1.0, (2,), np.float32)}
    algo = made(env_config=box, model={"fcnet_hiddens": [4], "free_log_std": True})
    assert algo.get_policy().framework == "native"
    inputs = algo.sample(20)["action_dist_inputs"]
    assert np.ptp(inputs[:, 2:], axis=0).max() == 0.0  # the same deviations everywhere
    algo = made(env_config=box, learner_backend="torch", model={"free_log_std": True})
    assert np.ptp(algo.sample(20)["action_dist_inputs"][:, 2:], axis=0).max() == 0.0
    algo = made(env_config=box, model={"log_std_clip_param": 1e-3})
    assert algo.get_policy().framework == "torch"
    assert 0 < np.abs(algo.sample(20)["action_dist_inputs"][:, 2:]).max() <= 1.001e-3
    algo = made(model={"fcnet_hiddens": [8, 2], "no_final_linear": True})
    assert np.abs(algo.sample(20)["action_dist_inputs"]).max() <= 1.0  # behind tanh
    with pytest.raises(ValueError, match="no_final_linear"):
        made(model={"fcnet_hiddens": [8], "no_final_linear": True})


def test_attention_nets_have_the_sizes_that_are_set():
    pytest.importorskip("torch")
    algo = made(
        model={
            "fcnet_hiddens": [8],
            "use_attention": True,
            "max_seq_len": 5,
            "attention_num_transformer_units": 2,
            "attention_dim": 6,
            "attention_num_heads": 3,
            "attention_head_dim": 4,
            "attention_memory_inference": 7,
            "attention_position_wise_mlp_dim": 9,
            "attention_init_gru_gate_bias": 1.5,
            "attention_use_n_prev_actions": 1,
            "attention_use_n_prev_rewards": 1,
        }
    )
    policy = algo.get_policy()
    assert [part.shape for part in policy.get_initial_state()] == [(7, 6), (7, 6)]
    shapes = {name: tuple(value.shape) for name, value in policy.model.named_parameters()}
    assert shapes["gtrxl._enter._model.0.weight"] == (6, 8 + 2 + 1)
    assert shapes["gtrxl._attentions.0._layer._qkv._model.0.weight"] == (3 * 3 * 4, 6)
    assert shapes["gtrxl._feeds.1._layer.1._model.0.weight"] == (9, 6)
    bias = dict(policy.model.named_parameters())["gtrxl._feeds.0._fan_in._bias"]
    assert float(bias[0]) == 1.5
    algo.train()
    assert len(algo.compute_single_action(np.zeros(1), policy.get_initial_state())[1]) == 2
    with pytest.raises(NotImplementedError, match="attention_use_n_prev_actions"):
        made(model={"use_attention": True, "attention_use_n_prev_actions": 3})


def test_attention_sees_the_same_step_by_step_and_as_a_sequence():
    torch = pytest.importorskip("torch")
    from eagleray.rllib.models.torch.attention import GTrXLNet

    torch.manual_seed(0)
    space = Box(-1.0, 1.0, (3,), np.float32)
    net = GTrXLNet(
        space,
        Discrete(2),
        2,
        {},
        "net",
        attention_dim=8,
        num_heads=2,
        head_dim=4,
        memory_inference=6,
    )
    obs = torch.randn(2, 4, 3)
    start = [part.repeat(2, 1, 1) for part in net.get_initial_state()]
    whole, memory = net.forward({"obs_flat": obs.reshape(8, 3)}, start, None)
    state, steps = start, []
    for t in range(4):
        out, state = net.forward({"obs_flat": obs[:, t]}, state, None)
        steps.append(out)
    torch.testing.assert_close(whole.reshape(2, 4, 2), torch.stack(steps, 1))
    torch.testing.assert_close(memory[0], state[0])


def test_a_preprocessor_of_one_s_own():
    class Halves(Preprocessor):
        def _init_shape(self, obs_space, options):
            self.factor = options["custom_model_config"]["factor"]
            return (2,)

        def transform(self, observation):
            return np.array([observation["x"][0] * self.factor, 1.0], np.float32)

    class Deep(Line):
        def __init__(self, config):
            super().__init__(config)
            self.observation_space = Dict({"x": self.observation_space})

        def reset(self, **kwargs):
            obs, info = super().reset(**kwargs)
            return {"x": obs}, info

        def step(self, action):
            obs, *rest = super().step(action)
            return {"x": obs}, *rest

    ModelCatalog.register_custom_preprocessor("halves", Halves)
    for backend in ("native", "torch"):
        model = {
            "fcnet_hiddens": [4],
            "custom_preprocessor": "halves",
            "custom_model_config": {"factor": 0.5},
        }
        algo = made(Deep, model=model, learner_backend=backend)
        assert algo.sample(20)["obs"][3].tolist() == [1.5, 1.0]
        algo.compute_single_action({"x": np.ones(1)})
    with pytest.raises(ValueError, match="no custom preprocessor"):
        made(Deep, model={"custom_preprocessor": "nobody"})


def test_settings_may_be_spaces_of_tune():
    config = PPOConfig().training(lr=tune.grid_search([0.1, 0.2]))
    assert config.without_effect() == []
