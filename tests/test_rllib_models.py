"""Nets of PyTorch's behind PPO: the user's own, recurrent, convolutional; masks, distributions, export."""

import os

import numpy as np
import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our library")
torch = pytest.importorskip("torch")
gymnasium = pytest.importorskip("gymnasium")
from gymnasium.spaces import Box, Dict, Discrete  # noqa: E402
from torch import nn  # noqa: E402

if not PEER:
    from eagleray.rllib.algorithms.ppo import PPO, PPOConfig
    from eagleray.rllib.core.rl_module import RLModuleSpec
    from eagleray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
    from eagleray.rllib.models import ModelCatalog
    from eagleray.rllib.models.torch.fcnet import FullyConnectedNetwork
    from eagleray.rllib.models.torch.misc import SlimFC
    from eagleray.rllib.models.torch.torch_action_dist import (
        TorchCategorical,
        TorchDiagGaussian,
        TorchDistributionWrapper,
    )
    from eagleray.rllib.models.torch.torch_modelv2 import TorchModelV2
    from eagleray.rllib.policy.ppo_torch_policy import PPOTorchPolicy, adapted_kl_coeff
    from eagleray.rllib.policy.sample_batch import SampleBatch
    from eagleray.rllib.policy.sequences import pad_sequences

SMALL = {
    "num_workers": 0,
    "train_batch_size": 100,
    "rollout_fragment_length": 50,
    "sgd_minibatch_size": 50,
    "num_sgd_iter": 1,
    "seed": 1,
}


class Masked(gymnasium.Env):
    """Only one of four actions is allowed, and asking for another one is an error."""

    def __init__(self, config=None):
        self.action_space = Discrete(4)
        self.observation_space = Dict(
            {"action_mask": Box(0.0, 1.0, (4,)), "state": Box(-1.0, 1.0, (2,))}
        )

    def _observe(self):
        self.allowed = int(self.np_random.integers(4))
        return {
            "action_mask": np.eye(4, dtype=np.float32)[self.allowed],
            "state": np.zeros(2, np.float32),
        }

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._observe(), {}

    def step(self, action):
        assert action == self.allowed
        self.steps += 1
        return self._observe(), 1.0, self.steps == 10, False, {}


class Remember(gymnasium.Env):
    """The first observation says which action is right in the third step; only memory helps."""

    def __init__(self, config=None):
        self.action_space = Discrete(2)
        self.observation_space = Box(-1.0, 1.0, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.secret, self.steps = int(self.np_random.integers(2)), 0
        return np.array([2.0 * self.secret - 1.0], np.float32), {}

    def step(self, action):
        self.steps += 1
        done = self.steps == 3
        return np.zeros(1, np.float32), float(done and action == self.secret), done, False, {}


class MaskingModel(TorchModelV2, nn.Module):
    def __init__(self, obs_space, action_space, num_outputs, model_config, name, **options):
        TorchModelV2.__init__(self, obs_space, action_space, num_outputs, model_config, name)
        nn.Module.__init__(self)
        state = obs_space.original_space["state"]
        self.inner = FullyConnectedNetwork(
            state, action_space, num_outputs, model_config, name + "_inner"
        )

    def forward(self, input_dict, state, seq_lens):
        obs = input_dict["obs"]
        logits, _ = self.inner({"obs": obs["state"]})
        return logits + torch.clamp(torch.log(obs["action_mask"]), min=-1e9), state

    def value_function(self):
        return self.inner.value_function()


def stats_of(result):
    return result["info"]["learner"]["default_policy"]["learner_stats"]


def test_action_masks_are_kept():
    ModelCatalog.register_custom_model("masking", MaskingModel)
    algorithm = PPO(config={**SMALL, "env": Masked, "model": {"custom_model": "masking"}})
    result = algorithm.train()  # the environment checks each action
    assert result["episode_reward_mean"] == 10.0 and np.isfinite(stats_of(result)["total_loss"])
    assert algorithm.get_policy().framework == "torch"


def test_custom_models_get_their_settings_and_their_loss():
    class Own(FullyConnectedNetwork):
        def __init__(self, *args, scale=0, **kwargs):
            super().__init__(*args, **kwargs)
            self.scale = scale

        def custom_loss(self, policy_loss, loss_inputs):
            return [loss + 0.0 for loss in policy_loss]

        def metrics(self):
            return {"scale": self.scale}

    model = {"custom_model": Own, "custom_model_config": {"scale": 3}, "fcnet_hiddens": [8]}
    algorithm = PPO(config={**SMALL, "env": "CartPole-v1", "model": model})
    assert algorithm.train()["info"]["learner"]["default_policy"]["model"] == {"scale": 3}


def test_any_module_of_torch_is_a_model():
    class Plain(nn.Module):
        def __init__(self, num_outputs):
            super().__init__()
            self.layer = nn.Linear(4, num_outputs)

        def forward(self, obs):
            return self.layer(obs)

    algorithm = PPO(config={**SMALL, "env": "CartPole-v1", "model": {"custom_model": Plain}})
    before = algorithm.get_weights()["default_policy"]["module.layer.weight"].copy()
    algorithm.train()
    assert not np.array_equal(
        before, algorithm.get_weights()["default_policy"]["module.layer.weight"]
    )
    assert isinstance(algorithm.get_module(), Plain)


def test_an_rl_module():
    class Own(TorchRLModule):
        def setup(self):
            self.body = nn.Sequential(nn.Linear(self.observation_space.shape[0], 16), nn.Tanh())
            self.head, self.value = nn.Linear(16, self.action_space.n), nn.Linear(16, 1)

        def _forward(self, batch, **kwargs):
            embeddings = self.body(batch["obs"])
            return {"action_dist_inputs": self.head(embeddings), "embeddings": embeddings}

        def compute_values(self, batch, embeddings=None):
            return self.value(
                self.body(batch["obs"]) if embeddings is None else embeddings
            ).squeeze(-1)

    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=0)
        .training(train_batch_size=100, minibatch_size=50, num_epochs=1)
        .rl_module(rl_module_spec=RLModuleSpec(module_class=Own))
    )
    algorithm = config.build_algo()
    assert np.isfinite(stats_of(algorithm.train())["vf_loss"])
    assert isinstance(algorithm.get_module(), Own)


class Narrow(nn.Module):
    """One number too few."""

    def __init__(self, num_outputs):
        super().__init__()
        self.layer = nn.Linear(4, num_outputs - 1)

    def forward(self, obs):
        return self.layer(obs)


def test_a_net_of_the_wrong_width_is_named():
    model = {"custom_model": Narrow}
    said = r"the net Narrow gives 1 numbers for an observation, .* Discrete\(2\) takes 2"
    with pytest.raises(ValueError, match=said):
        PPO({**SMALL, "env": "CartPole-v1", "model": model}).train()

    class Unsure(FullyConnectedNetwork):
        def forward(self, input_dict, state, seq_lens):
            outputs, state = super().forward(input_dict, state, seq_lens)
            return (outputs[:, :1] if input_dict["is_training"] else outputs), state

    algorithm = PPO({**SMALL, "env": "CartPole-v1", "model": {"custom_model": Unsure}})
    with pytest.raises(ValueError, match="the net Unsure gives 1 numbers"):
        algorithm.train()


@pytest.mark.parametrize("model", [{"use_lstm": True, "lstm_cell_size": 8}, {}])
def test_layers_are_normalised_where_the_configuration_says_so(model):
    model = {"fcnet_hiddens": [8, 6], "post_fcnet_hiddens": [4], **model}

    def norms(**more):
        algorithm = PPO({**SMALL, "env": "CartPole-v1", "model": {**model, **more}})
        assert np.isfinite(stats_of(algorithm.train())["total_loss"])
        net = algorithm.get_policy().model
        found = [m.normalized_shape[0] for m in net.modules() if isinstance(m, nn.LayerNorm)]
        return sorted(set(found))

    assert norms() == []
    assert norms(fcnet_use_layernorm=True) == [6, 8]
    assert norms(head_fcnet_use_layernorm=True) == [4]


def test_a_layer_is_normalised_before_its_activation():
    layer = SlimFC(3, 5, activation_fn="relu", use_layernorm=True)
    x = torch.randn(7, 3)
    linear = layer.linear(x)
    centred = linear - linear.mean(1, keepdim=True)
    expected = torch.relu(centred / (linear.var(1, correction=0, keepdim=True) + 1e-3).sqrt())
    torch.testing.assert_close(layer(x), expected)


class Recalling(TorchRLModule):
    """A GRU, and a count of the steps as a second, nested part of its state."""

    def setup(self):
        self.cell = nn.GRU(1, 16, batch_first=True)
        self.head, self.value = nn.Linear(16, self.action_space.n), nn.Linear(16, 1)

    def get_initial_state(self):
        return {"h": np.zeros(16, np.float32), "more": {"steps": torch.zeros(1)}}

    def _forward(self, batch, **kwargs):
        state = batch["state_in"]
        assert batch["obs"].shape[0] == len(state["h"]) == len(batch["seq_lens"])
        features, last = self.cell(batch["obs"], state["h"].unsqueeze(0).contiguous())
        steps = state["more"]["steps"] + batch["obs"].shape[1]
        return {
            "action_dist_inputs": self.head(features),
            "embeddings": features,
            "state_out": {"h": last.squeeze(0), "more": {"steps": steps}},
        }

    def _forward_train(self, batch, **kwargs):
        assert batch["loss_mask"].shape == batch["obs"].shape[:2]
        assert batch["loss_mask"].sum() == batch["seq_lens"].sum()
        return self._forward(batch)

    def compute_values(self, batch, embeddings=None):
        return self.value(embeddings).squeeze(-1)


def test_an_rl_module_with_a_memory():
    config = (
        PPOConfig()
        .environment(Remember)
        .env_runners(num_env_runners=0, num_envs_per_env_runner=8, rollout_fragment_length=60)
        .training(train_batch_size=480, minibatch_size=120, num_epochs=8, lr=0.005)
        .rl_module(rl_module_spec=RLModuleSpec(module_class=Recalling))
        .debugging(seed=1)
    )
    algorithm = config.build_algo()
    best = max(algorithm.train()["episode_reward_mean"] for _ in range(25))
    assert best > 0.85  # 0.5 without memory
    policy = algorithm.get_policy()
    start = policy.get_initial_state()
    _, after, _ = policy.compute_actions(np.ones((2, 1), np.float32))
    assert [part.shape for part in start] == [(16,), (1,)]
    assert after[1].tolist() == [[1.0], [1.0]] and after[0].any()
    assert isinstance(algorithm.get_module(), Recalling)
    algorithm.stop()


def test_memory_is_learned():
    algorithm = PPO(
        config={
            **SMALL,
            "env": Remember,
            "num_envs_per_worker": 8,
            "rollout_fragment_length": 60,
            "train_batch_size": 480,
            "sgd_minibatch_size": 120,
            "num_sgd_iter": 8,
            "lr": 0.005,
            "model": {
                "use_lstm": True,
                "lstm_cell_size": 16,
                "fcnet_hiddens": [16],
                "max_seq_len": 10,
            },
        }
    )
    best = max(algorithm.train()["episode_reward_mean"] for _ in range(25))
    assert best > 0.85  # 0.5 without memory
    state = algorithm.get_policy().get_initial_state()
    action, after, _ = algorithm.compute_single_action(np.array([1.0], np.float32), state=state)
    assert action in (0, 1) and not np.array_equal(after[0], state[0])


def test_previous_actions_and_rewards_as_inputs():
    model = {
        "use_lstm": True,
        "lstm_cell_size": 8,
        "fcnet_hiddens": [8],
        "lstm_use_prev_action": True,
    }
    model["lstm_use_prev_reward"] = True
    assert np.isfinite(
        stats_of(PPO(config={**SMALL, "env": Remember, "model": model}).train())["kl"]
    )


def test_sequences_end_with_episodes_and_keep_their_first_state():
    batch = SampleBatch(
        obs=np.arange(7.0, dtype=np.float32),
        eps_id=np.array([1, 1, 1, 2, 2, 2, 2]),
        state_in_0=np.arange(7.0)[:, None],
    )
    padded = pad_sequences(batch, 3)
    assert padded["seq_lens"].tolist() == [3, 3, 1]
    assert padded["state_in_0"].ravel().tolist() == [0.0, 3.0, 6.0]
    assert padded["obs"].reshape(3, 3).tolist() == [[0, 1, 2], [3, 4, 5], [6, 0, 0]]
    assert padded["mask"].sum() == 7


def test_images_go_through_convolutions():
    class Pixels(gymnasium.Env):
        observation_space = Box(0, 255, (10, 10, 3), np.uint8)
        action_space = Discrete(2)

        def __init__(self, config):
            pass

        def reset(self, *, seed=None, options=None):
            return np.zeros((10, 10, 3), np.uint8), {}

        def step(self, action):
            return np.full((10, 10, 3), 255, np.uint8), 1.0, False, True, {}

    model = {"conv_filters": [[4, [3, 3], 2], [8, [5, 5], 1]], "post_fcnet_hiddens": [16]}
    result = PPO(config={**SMALL, "env": Pixels, "model": model}).train()
    assert np.isfinite(stats_of(result)["total_loss"]) and result["episode_len_mean"] == 1


def test_a_distribution_of_the_user_s_own():
    class AlwaysOne(TorchDistributionWrapper):
        @staticmethod
        def required_model_output_shape(action_space, model_config):
            return 2

        def sample(self):
            self.last_sample = torch.ones(len(self.inputs), dtype=torch.int64)
            return self.last_sample

        deterministic_sample = sample

        def logp(self, actions):
            return torch.log_softmax(self.inputs, 1)[:, 1]

        def entropy(self):
            return torch.zeros(len(self.inputs))

        def kl(self, other):
            return torch.zeros(len(self.inputs))

    ModelCatalog.register_custom_action_dist("always_one", AlwaysOne)
    algorithm = PPO(
        config={**SMALL, "env": "CartPole-v1", "model": {"custom_action_dist": "always_one"}}
    )
    algorithm.train()
    assert {algorithm.compute_single_action(np.zeros(4)) for _ in range(10)} == {1}


def test_distributions_agree_with_torch_s():
    logits, other = torch.randn(5, 3), torch.randn(5, 3)
    ours, theirs = TorchCategorical(logits), torch.distributions.Categorical(logits=logits)
    actions = ours.sample()
    torch.testing.assert_close(ours.logp(actions), theirs.log_prob(actions))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    kl = torch.distributions.kl_divergence(theirs, torch.distributions.Categorical(logits=other))
    torch.testing.assert_close(ours.kl(TorchCategorical(other)), kl)
    inputs, second = torch.randn(5, 4), torch.randn(5, 4)
    gauss = TorchDiagGaussian(inputs)

    def reference(x):
        return torch.distributions.Independent(
            torch.distributions.Normal(x[:, :2], x[:, 2:].exp()), 1
        )

    sample = gauss.sample()
    torch.testing.assert_close(gauss.logp(sample), reference(inputs).log_prob(sample))
    torch.testing.assert_close(gauss.entropy(), reference(inputs).entropy())
    kl = torch.distributions.kl_divergence(reference(inputs), reference(second))
    torch.testing.assert_close(gauss.kl(TorchDiagGaussian(second)), kl)


def test_torch_and_native_learn_alike_from_the_same_batch():
    """The two losses, on one batch with the same weights: equal statistics, nearly equal gradients' effect."""
    settings = {
        **SMALL,
        "env": "CartPole-v1",
        "model": {"fcnet_hiddens": [8, 8]},
        "sgd_minibatch_size": 100,
    }
    native = PPO(config={**settings, "learner_backend": "native"})
    other = PPO(config={**settings, "learner_backend": "torch"})
    weights = native.get_weights()["default_policy"]
    names = {"_trunk.0": "policy.0", "_trunk.1": "policy.1", "_head": "policy.out"}
    names |= {"_value_trunk.0": "value.0", "_value_trunk.1": "value.1", "_value": "value.out"}
    given = {
        f"{ours}._model.0.{kind}": weights[f"{theirs}.{kind}"]
        for ours, theirs in names.items()
        for kind in ("weight", "bias")
    }
    other.set_weights({"default_policy": given})
    batch = native.sample(100)
    generator = np.random.default_rng(1)
    first = native.get_policy().learn(batch, 1, 100, generator)["learner_stats"]
    second = other.get_policy().learn(batch, 1, 100, generator)["learner_stats"]
    for name in (
        "total_loss",
        "policy_loss",
        "vf_loss",
        "kl",
        "entropy",
        "grad_gnorm",
        "vf_explained_var",
    ):
        assert first[name] == pytest.approx(second[name], rel=1e-3, abs=1e-4), name
    after = native.get_weights()["default_policy"]
    learned = other.get_weights()["default_policy"]
    for ours, theirs in names.items():
        moved = np.abs(learned[f"{ours}._model.0.weight"] - after[f"{theirs}.weight"]).max()
        assert moved < 2e-5, ours


def test_the_kl_coefficient_adapts():
    assert adapted_kl_coeff(0.2, 0.03, 0.01) == pytest.approx(0.3)
    assert adapted_kl_coeff(0.2, 0.004, 0.01) == 0.1
    assert adapted_kl_coeff(0.2, 0.015, 0.01) == 0.2


def test_schedules_go_by_time_steps():
    algorithm = PPO(
        config={
            **SMALL,
            "env": "CartPole-v1",
            "learner_backend": "torch",
            "lr_schedule": [[0, 0.1], [200, 0.0]],
            "entropy_coeff_schedule": [[0, 1.0], [100, 0.5]],
        }
    )
    stats = stats_of(algorithm.train())
    assert stats["cur_lr"] == pytest.approx(0.05) and stats["entropy_coeff"] == pytest.approx(0.5)


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_nets_are_exported(tmp_path, backend):
    algorithm = PPO(config={**SMALL, "env": "CartPole-v1", "learner_backend": backend})
    algorithm.export_policy_model(str(tmp_path))
    model = torch.jit.load(os.path.join(tmp_path, "model.pt"))
    obs = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    outputs, values = model(torch.from_numpy(obs))
    _, _, columns = algorithm.get_policy().compute_actions(obs)
    np.testing.assert_allclose(
        outputs.detach(), columns["action_dist_inputs"], rtol=1e-3, atol=1e-5
    )
    np.testing.assert_allclose(values.detach(), columns["vf_preds"], rtol=1e-3, atol=1e-5)


def test_recurrent_nets_are_exported_with_their_states(tmp_path):
    model = {
        "use_lstm": True,
        "lstm_cell_size": 8,
        "fcnet_hiddens": [8],
        "lstm_use_prev_action": True,
    }
    algorithm = PPO(config={**SMALL, "env": "CartPole-v1", "model": model})
    algorithm.export_policy_model(str(tmp_path))
    exported = torch.jit.load(os.path.join(tmp_path, "model.pt"))
    obs = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    policy = algorithm.get_policy()
    states = [np.full((3, 8), 0.5, np.float32) for _ in policy.get_initial_state()]
    outputs, values, *after = exported(
        torch.from_numpy(obs), *(torch.from_numpy(part) for part in states)
    )
    # A previous action of zero is one-hot to the policy; without any it is zeros.
    inputs = {"obs": torch.from_numpy(obs), "prev_actions_flat": torch.zeros(3, 2)}
    inputs["prev_rewards"] = torch.zeros(3)
    given = [torch.from_numpy(part) for part in states]
    with torch.no_grad():
        expected, expected_after = policy.model(inputs, given, torch.ones(3, dtype=torch.int32))
        torch.testing.assert_close(values, policy.model.value_function())
    torch.testing.assert_close(outputs, expected)
    for ours, theirs in zip(after, expected_after, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_an_export_leaves_the_net_on_its_device():
    """`meta` stands for a GPU."""
    from eagleray.rllib.policy.export import _on_cpu

    config = {**SMALL, "env": "CartPole-v1", "learner_backend": "torch"}
    model = PPO(config=config).get_policy().model
    assert _on_cpu(model) is model
    model({"obs": torch.zeros(2, 4), "is_training": False}, [], None)  # it keeps the values
    model.to("meta")
    with pytest.raises(NotImplementedError, match="meta"):
        _on_cpu(model)  # the copy; there is no data to copy
    assert {each.device.type for each in model.parameters()} == {"meta"}


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_nets_are_exported_to_onnx(tmp_path, backend):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    algorithm = PPO(config={**SMALL, "env": "CartPole-v1", "learner_backend": backend})
    algorithm.export_policy_model(str(tmp_path), onnx=17)
    session = runtime.InferenceSession(os.path.join(tmp_path, "model.onnx"))
    obs = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    outputs, values = session.run(None, {"obs": obs})
    _, _, columns = algorithm.get_policy().compute_actions(obs)
    np.testing.assert_allclose(outputs, columns["action_dist_inputs"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(values, columns["vf_preds"], rtol=1e-3, atol=1e-5)


def test_a_policy_alone_is_saved_and_read(tmp_path):
    algorithm = PPO(config={**SMALL, "env": "CartPole-v1", "learner_backend": "torch"})
    algorithm.export_policy_checkpoint(str(tmp_path))
    policy = PPOTorchPolicy.from_checkpoint(str(tmp_path))
    expected = algorithm.get_policy().compute_actions(np.zeros((1, 4), np.float32))[2]
    assert np.array_equal(
        policy.compute_actions(np.zeros((1, 4), np.float32))[2]["vf_preds"], expected["vf_preds"]
    )


def test_an_optimiser_that_nothing_would_ask_for_is_refused():
    class Own(PPOTorchPolicy):
        def optimizer(self):
            return [torch.optim.Adam(self.model.parameters())] * 2

    class OwnPPO(PPO):
        @classmethod
        def get_default_policy_class(cls, config):
            return Own

    with pytest.raises(NotImplementedError, match="optimizer.. would not be called.*make_optim"):
        OwnPPO(config={**SMALL, "env": "CartPole-v1"})


def test_a_policy_class_of_the_user_s_own():
    class Own(PPOTorchPolicy):
        def postprocess_trajectory(self, sample_batch, other_agent_batches=None, episode=None):
            sample_batch["advantages"] = np.arange(len(sample_batch), dtype=np.float32)
            sample_batch["value_targets"] = np.zeros(len(sample_batch), np.float32)
            return sample_batch

    class OwnPPO(PPO):
        @classmethod
        def get_default_policy_class(cls, config):
            return Own

    algorithm = OwnPPO(config={**SMALL, "env": "CartPole-v1"})
    batch = algorithm.sample(100)
    assert batch["advantages"][0] == 0.0 and batch["advantages"][1] == 1.0
    assert isinstance(algorithm.get_policy(), Own)
    algorithm.train()


def test_a_recurrent_net_of_the_user_s_own():
    from eagleray.rllib.models.torch.recurrent_net import RecurrentNetwork
    from eagleray.rllib.utils.annotations import override
    from eagleray.rllib.utils.framework import try_import_torch

    assert try_import_torch() == (torch, nn)

    class Own(RecurrentNetwork, nn.Module):
        def __init__(self, *args):
            nn.Module.__init__(self)
            RecurrentNetwork.__init__(self, *args)
            self.cell, self.head, self.value = (
                nn.GRU(1, 8, batch_first=True),
                nn.Linear(8, 2),
                nn.Linear(8, 1),
            )

        @override(RecurrentNetwork)
        def get_initial_state(self):
            return [torch.zeros(8)]

        def forward_rnn(self, inputs, state, seq_lens):
            self.features, last = self.cell(inputs, state[0].unsqueeze(0).contiguous())
            return self.head(self.features), [last.squeeze(0)]

        def value_function(self):
            return self.value(self.features).reshape(-1)

    algorithm = PPO(
        config={**SMALL, "env": Remember, "model": {"custom_model": Own, "max_seq_len": 5}}
    )
    assert np.isfinite(stats_of(algorithm.train())["total_loss"])
    with pytest.raises(NameError, match="nothing"):
        override(RecurrentNetwork)(lambda: None)


def test_get_module_acts_as_in_ray_2():
    from eagleray.rllib.core.columns import Columns

    for backend in ("native", "torch"):
        config = {**SMALL, "learner_backend": backend, "env": "CartPole-v1"}
        algorithm = PPO(config)
        module = algorithm.get_module()
        obs = np.ones((3, 4), np.float32)
        out = module.forward_inference({"obs": torch.from_numpy(obs)})
        known = algorithm.get_policy().compute_actions(obs)[2]
        assert np.allclose(out[Columns.ACTION_DIST_INPUTS], known["action_dist_inputs"], atol=1e-6)
        assert np.allclose(
            module.compute_values({"obs": obs}).detach(), known["vf_preds"], atol=1e-6
        )
        made = module.get_inference_action_dist_cls().from_logits(out[Columns.ACTION_DIST_INPUTS])
        best = made.to_deterministic().sample()
        assert best.tolist() == known["action_dist_inputs"].argmax(1).tolist()
        module.set_state({name: value * 0 for name, value in module.get_state().items()})
        assert not module.forward_exploration({"obs": obs})[Columns.ACTION_DIST_INPUTS].any()
        algorithm.stop()
    with pytest.raises(AttributeError, match="learner_backend='torch' makes one"):
        _ = PPO({**SMALL, "env": "CartPole-v1"}).get_policy().model


@pytest.mark.parametrize(
    ("model", "names"),
    [({"use_lstm": True, "lstm_cell_size": 8}, ["h", "c"]), ({"use_attention": True}, ["state_0"])],
)
def test_get_module_of_a_net_with_a_memory_acts_as_in_ray_2(model, names):
    algorithm = PPO({**SMALL, "env": Remember, "model": {"fcnet_hiddens": [8], **model}})
    module, policy = algorithm.get_module(), algorithm.get_policy()
    state = {name: part[None] for name, part in module.get_initial_state().items()}
    assert module.is_stateful() and list(state) == names
    if names == ["h", "c"]:
        assert state["h"].shape == (1, 1, 8)  # batch, layers, size
    obs = np.array([[[1.0], [0.5], [-1.0]]], np.float32)
    whole = module.forward_inference({"obs": torch.from_numpy(obs), "state_in": state})
    known, known_state = [], None
    for step in range(3):
        out = module.forward_inference({"obs": obs[:, step : step + 1], "state_in": state})
        state = out["state_out"]
        _, known_state, extras = policy.compute_actions(obs[:, step], known_state)
        known.append((extras["action_dist_inputs"], extras["vf_preds"]))
        assert np.allclose(out["action_dist_inputs"][:, 0], known[-1][0], atol=1e-5)
    assert np.allclose(whole["action_dist_inputs"][0], [row[0][0] for row in known], atol=1e-5)
    assert np.allclose(whole["vf_preds"][0], [row[1][0] for row in known], atol=1e-5)
    for name, part in zip(names, known_state, strict=True):
        assert np.allclose(state[name].reshape(part.shape), part, atol=1e-5)
        assert np.allclose(whole["state_out"][name], state[name], atol=1e-5)
    with pytest.raises(ValueError, match=r"are \[n, time, ...\], not \[1, 1\]"):
        module.forward_inference({"obs": obs[:, 0], "state_in": state})
    algorithm.stop()


def test_get_module_of_a_net_that_looks_back():
    model = {"use_lstm": True, "lstm_cell_size": 8, "fcnet_hiddens": [8]}
    model |= {"lstm_use_prev_action": True, "lstm_use_prev_reward": True}
    algorithm = PPO({**SMALL, "env": Remember, "model": model})
    module, policy = algorithm.get_module(), algorithm.get_policy()
    batch = {"obs": np.ones((1, 1, 1), np.float32)}
    batch["state_in"] = {name: part[None] for name, part in module.get_initial_state().items()}
    with pytest.raises(ValueError, match="the net needs prev_actions and prev_rewards"):
        module.forward_inference(batch)
    batch |= {"prev_actions": np.array([[1]]), "prev_rewards": np.array([[2.0]], np.float32)}
    out = module.forward_inference(batch)["action_dist_inputs"][0]
    previous = {"prev_action_batch": np.array([1]), "prev_reward_batch": np.array([2.0])}
    extras = policy.compute_actions(batch["obs"][0], **previous)[2]
    assert np.allclose(out, extras["action_dist_inputs"], atol=1e-5)
    algorithm.stop()


def test_a_distribution_around_one_of_pytorch_s():
    class Own(TorchDistributionWrapper):
        @staticmethod
        def required_model_output_shape(action_space, model_config):
            return int(action_space.n)

        def __init__(self, inputs, model):
            super().__init__(inputs, model)
            self.dist = torch.distributions.Categorical(logits=inputs)

        def deterministic_sample(self):
            self.last_sample = self.dist.probs.argmax(1)
            return self.last_sample

    ModelCatalog.register_custom_action_dist("around_torch", Own)
    model = {"fcnet_hiddens": [8], "custom_action_dist": "around_torch"}
    algorithm = PPO({**SMALL, "env": "CartPole-v1", "model": model})
    stats = algorithm.train()["info"]["learner"]["default_policy"]["learner_stats"]
    assert 0.6 < stats["entropy"] < 0.7 and stats["kl"] >= 0
    algorithm.stop()
