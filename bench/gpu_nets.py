"""Nets, losses and optimisers of users, for bench/gpu_learner.py: which of them are learned as one CUDA graph.
To be imported after gpu_work.stand_ins()."""

from __future__ import annotations

import torch
from eagleray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule
from eagleray.rllib.models.torch.fcnet import FullyConnectedNetwork
from eagleray.rllib.models.torch.recurrent_net import RecurrentNetwork
from eagleray.rllib.models.torch.torch_action_dist import TorchDistributionWrapper
from eagleray.rllib.models.torch.torch_modelv2 import TorchModelV2
from gpu_work import ROWS, Work, box, dictionary, discrete, multi_binary
from torch import nn

LSTM = {"use_lstm": True}
SMALL = {"fcnet_hiddens": [64]}


class Memory(RecurrentNetwork, nn.Module):
    def __init__(self, *args):
        nn.Module.__init__(self)
        RecurrentNetwork.__init__(self, *args)
        self.cell = self.make_cell()
        self.head, self.value = nn.Linear(64, self.num_outputs), nn.Linear(64, 1)

    def make_cell(self):
        return nn.GRUCell(4, 64)

    def get_initial_state(self):
        return [torch.zeros(64)]

    def forward_rnn(self, inputs, state, seq_lens):
        self.features, last = self.remember(inputs, state[0], seq_lens)
        return self.head(self.features), [last]

    def value_function(self):
        return self.value(self.features).reshape(-1)


class Loop(Memory):
    def remember(self, inputs, state, seq_lens):
        outputs = []
        for step in inputs.unbind(1):
            state = self.cell(step, state)
            outputs.append(state)
        return torch.stack(outputs, 1), state


class Whole(Memory):
    def make_cell(self):
        return nn.GRU(4, 64, batch_first=True)

    def remember(self, inputs, state, seq_lens):
        features, last = self.cell(inputs, state.unsqueeze(0).contiguous())
        return features, last.squeeze(0)


class DroppedMemory(Whole):
    def remember(self, inputs, state, seq_lens):
        features, last = super().remember(inputs, state, seq_lens)
        return nn.functional.dropout(features, 0.2, self.training), last


class Packed(Whole):
    def remember(self, inputs, state, seq_lens):
        packed = nn.utils.rnn.pack_padded_sequence(
            inputs, seq_lens.cpu().long(), batch_first=True, enforce_sorted=False
        )
        features, last = self.cell(packed, state.unsqueeze(0).contiguous())
        features, _ = nn.utils.rnn.pad_packed_sequence(
            features, batch_first=True, total_length=inputs.shape[1]
        )
        return features, last.squeeze(0)


class MemoryModule(TorchRLModule):
    def setup(self):
        self.cell = nn.LSTM(4, 64, batch_first=True)
        self.head, self.value = nn.Linear(64, 2), nn.Linear(64, 1)

    def get_initial_state(self):
        return {"h": torch.zeros(64), "c": torch.zeros(64)}

    def _forward(self, batch, **kwargs):
        given = tuple(batch["state_in"][name].unsqueeze(0).contiguous() for name in "hc")
        features, (h, c) = self.cell(batch["obs"], given)
        after = {"h": h.squeeze(0), "c": c.squeeze(0)}
        inputs = self.head(features)
        return {"action_dist_inputs": inputs, "embeddings": features, "state_out": after}

    def compute_values(self, batch, embeddings=None):
        return self.value(embeddings).squeeze(-1)


def recurrent(ppo, a2c):
    """Nets with a memory."""
    custom = {"a loop": Loop, "nn.GRU": Whole, "dropout": DroppedMemory, "packed": Packed}
    plain = {"policy_class": ppo, "observations": box(4), "actions": discrete(2), "rows": 1000}
    summed = {**plain, "policy_class": a2c, "minibatch": None}
    attention = {"use_attention": True, "fcnet_hiddens": [64]}
    made = {
        "LSTM": Work(**{**plain, "rows": ROWS}, more={"model": LSTM}),
        "LSTM, all rows at once": Work(**summed, more={"model": LSTM, "lr": 1e-5}),
        "attention": Work(**plain, more={"model": attention}, close_to_cpu=False),
        "RLModule with a memory": Work(**plain, more={"rl_module_spec": MemoryModule}),
    }
    for name, net in custom.items():
        own = {"more": {"model": {"custom_model": net}}, "close_to_cpu": name != "dropout"}
        made[f"own memory, {name}"] = Work(**plain, **own, graph=name != "packed")
    return made


class Masks(FullyConnectedNetwork):
    """The signs of the observation allow actions."""

    def forward(self, input_dict, state, seq_lens):
        outputs, _ = super().forward(input_dict, state, seq_lens)
        allowed = (input_dict["obs"][:, : outputs.shape[1]] > -1.0).float()
        return outputs + torch.clamp(torch.log(allowed), min=-1e9), state


class Parts(TorchModelV2, nn.Module):
    """Dict observations."""

    def __init__(self, *args):
        TorchModelV2.__init__(self, *args)
        nn.Module.__init__(self)
        self.a, self.b = nn.Linear(3, 32), nn.Linear(5, 32)
        self.head, self.value = nn.Linear(64, self.num_outputs), nn.Linear(64, 1)

    def forward(self, input_dict, state, seq_lens):
        obs = input_dict["obs"]
        self.features = torch.tanh(torch.cat([self.a(obs["a"]), self.b(obs["b"])], 1))
        return self.head(self.features), state

    def value_function(self):
        return self.value(self.features).squeeze(1)


class Frozen(FullyConnectedNetwork):
    def __init__(self, *args):
        super().__init__(*args)
        self._trunk.requires_grad_(False)


class Loses(FullyConnectedNetwork):
    def custom_loss(self, policy_loss, loss_inputs):
        extra = sum(parameter.square().sum() for parameter in self.parameters())
        return [loss + 1e-4 * extra for loss in policy_loss]


class Layers(nn.Module):
    extra = nn.Identity

    def __init__(self, num_outputs):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 64), self.extra(), nn.Tanh())
        self.head, self.value = nn.Linear(64, num_outputs), nn.Linear(64, 1)

    def forward(self, obs):
        features = self.body(obs)
        return self.head(features), self.value(features)


class Normed(Layers):
    def extra(self):
        return nn.BatchNorm1d(64)


class Dropped(Layers):
    def extra(self):
        return nn.Dropout(0.2)


class Waits(Dropped):
    def forward(self, obs):
        assert obs.abs().sum().item() >= 0.0
        return super().forward(obs)


class Module(TorchRLModule):
    def setup(self):
        self.body = nn.Sequential(nn.Linear(4, 64), nn.Tanh())
        self.head, self.value = nn.Linear(64, 2), nn.Linear(64, 1)

    def _forward(self, batch, **kwargs):
        embeddings = self.body(batch["obs"])
        return {"action_dist_inputs": self.head(embeddings), "embeddings": embeddings}

    def compute_values(self, batch, embeddings=None):
        return self.value(embeddings).squeeze(-1)


class Around(TorchDistributionWrapper):
    """One of PyTorch's, which looks at its arguments."""

    def __init__(self, inputs, model):
        super().__init__(inputs, model)
        self.dist = torch.distributions.Categorical(logits=inputs)

    def deterministic_sample(self):
        return self.dist.probs.argmax(1)

    @staticmethod
    def required_model_output_shape(action_space, model_config):
        return int(action_space.n)


def _optimizers(base):
    def adam(self):
        return torch.optim.Adam(self._parameters(), lr=1e-3)

    def sgd(self):
        return torch.optim.SGD(self._parameters(), lr=1e-3, momentum=0.9)

    def two_rates(self):
        parameters = self._parameters()
        groups = [{"params": parameters[:4], "lr": 1e-3}, {"params": parameters[4:], "lr": 1e-4}]
        return torch.optim.AdamW(groups)

    def adagrad(self):
        return torch.optim.Adagrad(self._parameters(), lr=1e-3)

    def twice(self, model, dist_class, train_batch):
        return base.loss(self, model, dist_class, train_batch) * 2.0

    return {
        "own loss": ({"loss": twice}, True),
        "own SGD": ({"make_optimizer": sgd}, True),
        "own Adam": ({"make_optimizer": adam}, True),
        "own AdamW, two rates": ({"make_optimizer": two_rates}, True),
        "own Adagrad": ({"make_optimizer": adagrad}, False),
    }


def others(ppo):
    """Nets that are not plain, losses and optimisers of the user's."""
    plain = {"policy_class": ppo, "observations": box(4), "actions": discrete(2), "rows": 1000}
    custom = {
        "action masks": Masks,
        "frozen layers": Frozen,
        "custom_loss": Loses,
        "batch norm": Normed,
        "dropout": Dropped,
    }
    made = {
        name: Work(**plain, more={"model": {"custom_model": net, **SMALL}}, close_to_cpu=False)
        for name, net in custom.items()
    }
    for name, (methods, graph) in _optimizers(ppo).items():
        made[name] = Work(**plain, own=methods, graph=graph, more={"model": SMALL})
    made["dropout and a wait"] = Work(
        **plain, more={"model": {"custom_model": Waits}}, close_to_cpu=False, graph=False
    )
    made["layer norm"] = Work(**plain, more={"model": {**SMALL, "fcnet_use_layernorm": True}})
    made["RLModule"] = Work(**plain, more={"rl_module_spec": Module})
    around = {"custom_action_dist": Around, **SMALL}
    made["own distribution"] = Work(**plain, more={"model": around})
    made["MultiBinary actions"] = Work(
        **{**plain, "actions": multi_binary(3)}, more={"model": SMALL}
    )
    obs = dictionary(a=box(3), b=box(5))
    if obs is not None:
        given = {**plain, "observations": obs}
        made["Dict observations"] = Work(**given, more={"model": {"custom_model": Parts}})
    return made
