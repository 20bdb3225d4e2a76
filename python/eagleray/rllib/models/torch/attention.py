"""Attention for reinforcement learning: the gated transformer of Parisotto et al. (2020), GTrXL.

Its memory is the input of each layer at the last `memory` steps. It travels as the state of a recurrent net, so
that samplers and sequences need to know nothing of it; gradients end at the beginning of a sequence.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from .fcnet import NetWithMemory
from .misc import SlimFC, normc_initializer
from .torch_modelv2 import TorchModelV2

__all__ = [
    "AttentionNetwork",
    "GRUGate",
    "GTrXLNet",
    "MultiHeadAttention",
    "RelativeMultiHeadAttention",
    "RelativePositionEmbedding",
    "SkipConnection",
]


class GRUGate(nn.Module):
    """Joins a layer's input and output as a gated recurrent unit does its state and input. init_bias: the more, the
    more of the input passes at the start."""

    def __init__(self, dim: int, init_bias: float = 0.0, **_: Any) -> None:
        super().__init__()
        self._of_output = nn.Linear(dim, 3 * dim, bias=False)
        self._of_input = nn.Linear(dim, 2 * dim, bias=False)
        self._of_reset = nn.Linear(dim, dim, bias=False)
        self._bias = nn.Parameter(torch.full((dim,), float(init_bias)))

    def forward(self, inputs: Any) -> Any:
        """inputs: (input of the layer, its output)."""
        h, x = inputs
        reset_x, update_x, new_x = self._of_output(x).chunk(3, dim=-1)
        reset_h, update_h = self._of_input(h).chunk(2, dim=-1)
        reset = torch.sigmoid(reset_x + reset_h)
        update = torch.sigmoid(update_x + update_h - self._bias)
        new = torch.tanh(new_x + self._of_reset(reset * h))
        return (1 - update) * h + update * new


class SkipConnection(nn.Module):
    """layer(x) + x, or fan_in_layer((x, layer(x)))."""

    def __init__(self, layer: Any, fan_in_layer: Any = None, **_: Any) -> None:
        super().__init__()
        self._layer, self._fan_in = layer, fan_in_layer

    def forward(self, inputs: Any, **kwargs: Any) -> Any:
        outputs = self._layer(inputs, **kwargs)
        return outputs + inputs if self._fan_in is None else self._fan_in((inputs, outputs))


class MultiHeadAttention(nn.Module):
    """Self-attention [batch, time, in] to [batch, time, out]; a step sees itself and those before it."""

    def __init__(self, in_dim: int, out_dim: int, num_heads: int, head_dim: int, **_: Any) -> None:
        super().__init__()
        self._heads, self._head = num_heads, head_dim
        self._qkv = SlimFC(in_dim, 3 * num_heads * head_dim, use_bias=False)
        self._out = SlimFC(num_heads * head_dim, out_dim, use_bias=False)

    def forward(self, inputs: Any) -> Any:
        rows, steps = inputs.shape[:2]
        shaped = self._qkv(inputs).reshape(rows, steps, 3, self._heads, self._head)
        q, k, v = shaped.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self._out(mixed.transpose(1, 2).reshape(rows, steps, -1))


class RelativePositionEmbedding(nn.Module):
    """Sines and cosines of distances: forward(n) is [n, out_dim] for the distances n - 1 to 0."""

    def __init__(self, out_dim: int, **_: Any) -> None:
        super().__init__()
        frequencies = 10000.0 ** (-torch.arange(0, out_dim, 2).float() / out_dim)
        self.register_buffer("_frequencies", frequencies, persistent=False)
        self._size = out_dim

    def forward(self, seq_length: int) -> Any:
        frequencies: Any = self._frequencies
        places = torch.arange(seq_length - 1, -1, -1, device=frequencies.device).float()
        angles = places[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, : self._size]


class RelativeMultiHeadAttention(nn.Module):
    """Self-attention over a memory and the present steps, by content and by distance (Dai et al., 2019).

    forward(inputs [batch, time, in], memory=[batch, memory, in]) -> [batch, time, out].
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        num_heads: int,
        head_dim: int,
        input_layernorm: bool = False,
        output_activation: Any = None,
        **_: Any,
    ) -> None:
        super().__init__()
        width = num_heads * head_dim
        self._heads, self._head = num_heads, head_dim
        self._norm = nn.LayerNorm(in_dim) if input_layernorm else nn.Identity()
        self._qkv = SlimFC(in_dim, 3 * width, use_bias=False)
        self._place = RelativePositionEmbedding(in_dim)
        self._of_place = SlimFC(in_dim, width, use_bias=False)
        self._content_bias = nn.Parameter(torch.zeros(num_heads, head_dim))
        self._place_bias = nn.Parameter(torch.zeros(num_heads, head_dim))
        self._out = SlimFC(width, out_dim, use_bias=False, activation_fn=output_activation)

    def forward(self, inputs: Any, memory: Any = None) -> Any:
        rows, steps = inputs.shape[:2]
        seen = inputs if memory is None else torch.cat([memory.detach(), inputs], dim=1)
        total = seen.shape[1]
        qkv = self._qkv(self._norm(seen)).reshape(rows, total, 3, self._heads, self._head)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q = q[:, :, total - steps :]
        places = self._of_place(self._place(total)).reshape(total, self._heads, self._head)
        content = (q + self._content_bias[:, None]) @ k.transpose(-1, -2)
        distance = _shifted((q + self._place_bias[:, None]) @ places.permute(1, 2, 0))
        scores = (content + distance) / math.sqrt(self._head)
        everything = torch.ones(steps, total, dtype=torch.bool, device=inputs.device)
        hidden = everything.triu(total - steps + 1)
        if memory is not None:  # a step sees as much of what was as it would alone
            hidden = hidden | everything.tril(-1)
        shares = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1)
        mixed = (shares @ v).transpose(1, 2).reshape(rows, steps, -1)
        return self._out(mixed)


def _shifted(scores: Any) -> Any:
    """[..., time, total] by distance to by place: row t moves left by (time - 1 - t)."""
    *lead, steps, total = scores.shape
    padded = nn.functional.pad(scores, (1, 0)).reshape(*lead, total + 1, steps)
    return padded[..., 1:, :].reshape(*lead, steps, total)


class GTrXLNet(TorchModelV2, nn.Module):
    """A linear layer, `num_transformer_units` gated units, and linear heads for actions and value.

    State: for each unit its memory [attention_memory, attention_dim], zeros at the start of an episode.
    """

    def __init__(
        self,
        observation_space: Any,
        action_space: Any,
        num_outputs: int | None,
        model_config: Any,
        name: str,
        *,
        num_transformer_units: int = 1,
        attention_dim: int = 64,
        num_heads: int = 2,
        memory_inference: int = 50,
        memory_training: int = 50,
        head_dim: int = 32,
        position_wise_mlp_dim: int = 32,
        init_gru_gate_bias: float = 2.0,
        input_size: int | None = None,
    ) -> None:
        TorchModelV2.__init__(
            self, observation_space, action_space, num_outputs, model_config, name
        )
        nn.Module.__init__(self)
        if input_size is None:
            input_size = math.prod(observation_space.shape)
        self._memory, self.attention_dim = memory_inference, attention_dim
        self._units = num_transformer_units
        self._enter = SlimFC(input_size, attention_dim)

        def gate() -> GRUGate:
            return GRUGate(attention_dim, init_gru_gate_bias)

        attentions, feeds = [], []
        for _ in range(num_transformer_units):
            attention = RelativeMultiHeadAttention(
                attention_dim, attention_dim, num_heads, head_dim, True, nn.ReLU
            )
            feed = nn.Sequential(
                nn.LayerNorm(attention_dim),
                SlimFC(attention_dim, position_wise_mlp_dim, activation_fn=nn.ReLU),
                SlimFC(position_wise_mlp_dim, attention_dim, activation_fn=nn.ReLU),
            )
            attentions.append(SkipConnection(attention, gate()))
            feeds.append(SkipConnection(feed, gate()))
        self._attentions, self._feeds = nn.ModuleList(attentions), nn.ModuleList(feeds)
        self._head = (
            None
            if num_outputs is None
            else SlimFC(attention_dim, num_outputs, normc_initializer(0.01))
        )
        self._value = SlimFC(attention_dim, 1, normc_initializer(0.01))
        self._out: Any = None

    def get_initial_state(self) -> list[Any]:
        return [torch.zeros(self._memory, self.attention_dim) for _ in range(self._units)]

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        flat = input_dict["obs_flat"].float()
        x = self._enter(flat.reshape(len(state[0]), -1, flat.shape[-1]))
        states = []
        for memory, attend, feed in zip(state, self._attentions, self._feeds, strict=True):
            seen = torch.cat([memory, x.detach()], dim=1)
            states.append(seen[:, seen.shape[1] - self._memory :])
            x = feed(attend(x, memory=memory))
        self._out = x.reshape(-1, self.attention_dim)
        return self._out if self._head is None else self._head(self._out), states

    def value_function(self) -> Any:
        return self._value(self._out).squeeze(1)


class AttentionNetwork(NetWithMemory):
    """`use_attention`: a net without its head, then a GTrXLNet on its features and, as the configuration says, the
    previous action and reward. NotImplementedError: more than one of these."""

    def __init__(
        self,
        obs_space: Any,
        action_space: Any,
        num_outputs: int,
        model_config: Any,
        name: str,
        inner: Any,
        previous_size: int = 0,
    ) -> None:
        super().__init__(
            obs_space, action_space, num_outputs, model_config, name, inner, previous_size
        )
        self._takes_action = _once(model_config, "attention_use_n_prev_actions")
        self._takes_reward = _once(model_config, "attention_use_n_prev_rewards")
        self.gtrxl = GTrXLNet(
            obs_space,
            action_space,
            num_outputs,
            model_config,
            "gtrxl",
            num_transformer_units=model_config["attention_num_transformer_units"],
            attention_dim=model_config["attention_dim"],
            num_heads=model_config["attention_num_heads"],
            memory_inference=model_config["attention_memory_inference"],
            head_dim=model_config["attention_head_dim"],
            position_wise_mlp_dim=model_config["attention_position_wise_mlp_dim"],
            init_gru_gate_bias=model_config["attention_init_gru_gate_bias"],
            input_size=self.feature_count(),
        )

    def get_initial_state(self) -> list[Any]:
        return self.gtrxl.get_initial_state()

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        return self.gtrxl.forward({"obs_flat": self.features_of(input_dict)}, state, seq_lens)

    def value_function(self) -> Any:
        return self.gtrxl.value_function()


def _once(model_config: Any, key: str) -> bool:
    count = int(model_config[key])
    if count > 1:
        raise NotImplementedError(
            f"config['model']['{key}']={count}: one previous step is implemented, not several"
        )
    return count == 1
