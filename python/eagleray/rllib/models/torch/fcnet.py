"""The standard nets: fully connected, convolutional, and either of them before an LSTM."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from .misc import (
    SlimFC,
    activation,
    conv_stack,
    default_filters,
    initializer,
    normc_initializer,
)
from .torch_modelv2 import TorchModelV2

__all__ = ["FullyConnectedNetwork", "LSTMNetwork", "VisionNetwork"]


class _Net(TorchModelV2, nn.Module):
    """A trunk, a head of `num_outputs`, and a value function on the same trunk or on one of its own.

    num_outputs None: neither head nor value function; the features (`feature_size` of them) are the output.
    """

    def __init__(
        self,
        obs_space: Any,
        action_space: Any,
        num_outputs: int | None,
        model_config: Any,
        name: str,
    ) -> None:
        TorchModelV2.__init__(self, obs_space, action_space, num_outputs, model_config, name)
        nn.Module.__init__(self)
        self._shares = bool(model_config.get("vf_share_layers"))
        self._trunk, self.feature_size = self._make_trunk()
        self._features: Any = None
        self._inputs: Any = None
        if num_outputs is None:
            self._head = None
        elif model_config.get("no_final_linear"):
            if self.feature_size != num_outputs:
                raise ValueError(
                    f"no_final_linear: the last of fcnet_hiddens must be {num_outputs}, not {self.feature_size}"
                )
            self._head = None
        else:
            self._free_std = bool(model_config.get("free_log_std"))
            outputs = num_outputs // 2 if self._free_std else num_outputs
            self._head = SlimFC(self.feature_size, outputs, normc_initializer(0.01))
            gaussian = type(action_space).__name__ == "Box" and num_outputs % 2 == 0
            self._log_std_limit = float(model_config["log_std_clip_param"]) if gaussian else None
            if self._free_std:
                self._log_std = nn.Parameter(torch.zeros(num_outputs - outputs))
        self._value_trunk: Any = None
        self._value: Any = None
        if num_outputs is not None:  # else what is behind it has the value function
            self._value_trunk = None if self._shares else self._make_trunk()[0]
            self._value = SlimFC(self.feature_size, 1, normc_initializer(0.01))

    def _make_trunk(self) -> tuple[Any, int]:
        raise NotImplementedError

    def _prepare(self, input_dict: Any) -> Any:
        return input_dict["obs_flat"].float()

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        self._inputs = self._prepare(input_dict)
        self._features = self._trunk(self._inputs)
        outputs = self._features if self._head is None else self._head(self._features)
        if self._head is not None and self._free_std:
            outputs = torch.cat([outputs, self._log_std.expand(outputs.shape[0], -1)], dim=1)
        if self._head is not None and self._log_std_limit is not None:
            mean, log_std = outputs.chunk(2, dim=1)
            limit = self._log_std_limit
            outputs = torch.cat([mean, log_std.clamp(-limit, limit)], dim=1)
        return outputs, state

    def value_function(self) -> Any:
        features = self._features if self._value_trunk is None else self._value_trunk(self._inputs)
        return self._value(features).squeeze(1)


class FullyConnectedNetwork(_Net):
    """`fcnet_hiddens` layers with `fcnet_activation`; then `post_fcnet_hiddens` with theirs."""

    def _make_trunk(self) -> tuple[Any, int]:
        config = self.model_config
        size = int(np.prod(self.obs_space.shape, dtype=int))
        return _dense(size, [_stage(config, "fcnet"), _stage(config, "post_fcnet")])


class VisionNetwork(_Net):
    """`conv_filters` (by the image's size when None) over [height, width, channels], then `post_fcnet_hiddens`."""

    def _make_trunk(self) -> tuple[Any, int]:
        config = self.model_config
        filters = config.get("conv_filters") or default_filters(self.obs_space.shape)
        convolutions, size = conv_stack(self.obs_space.shape, filters, config["conv_activation"])
        if config["conv_kernel_initializer"] or config["conv_bias_initializer"]:
            for part in convolutions.modules():
                if isinstance(part, nn.Conv2d):
                    _initialise(config, part.weight, "conv_kernel_initializer")
                    _initialise(config, part.bias, "conv_bias_initializer")
        dense, size = _dense(size, [_stage(config, "post_fcnet")])
        return nn.Sequential(convolutions, dense), size

    def _prepare(self, input_dict: Any) -> Any:
        images = input_dict["obs"].float().permute(0, 3, 1, 2)
        return images / 255.0 if self.obs_space.dtype == np.uint8 else images


class NetWithMemory(TorchModelV2, nn.Module):
    """What has a memory behind a net without its head: `inner`, and the previous action and reward if it takes them.

    A subclass sets _takes_action and _takes_reward in its constructor.
    """

    _takes_action = _takes_reward = False

    def __init__(
        self,
        obs_space: Any,
        action_space: Any,
        num_outputs: int,
        model_config: Any,
        name: str,
        inner: Any = None,
        previous_size: int = 0,
    ) -> None:
        TorchModelV2.__init__(self, obs_space, action_space, num_outputs, model_config, name)
        nn.Module.__init__(self)
        self._inner = inner
        self._previous_size = previous_size

    @property
    def looks_back_at(self) -> list[str]:
        """The columns of previous steps that it takes."""
        taken = {"prev_actions": self._takes_action, "prev_rewards": self._takes_reward}
        return [name for name, takes in taken.items() if takes]

    def feature_count(self) -> int:
        """The width of features_of()."""
        count = getattr(self._inner, "feature_size", None) or self._inner.num_outputs
        count += self._previous_size if self._takes_action else 0
        return int(count) + (1 if self._takes_reward else 0)

    def features_of(self, input_dict: Any) -> Any:
        """What the memory sees: [n, feature_count()]."""
        given = dict(input_dict)
        given["obs"] = given["obs_flat"].reshape(-1, *self.obs_space.shape)
        features, _ = self._inner(given, [], None)
        parts = [features]
        if self._takes_action:
            parts.append(given["prev_actions_flat"].float())
        if self._takes_reward:
            parts.append(given["prev_rewards"].float().reshape(-1, 1))
        return torch.cat(parts, dim=1)


class LSTMNetwork(NetWithMemory):
    """A net without its head, an LSTM of `lstm_cell_size`, and linear heads for actions and value."""

    def __init__(
        self,
        obs_space: Any,
        action_space: Any,
        num_outputs: int,
        model_config: Any,
        name: str,
        inner: Any = None,
        previous_size: int = 0,
    ) -> None:
        super().__init__(
            obs_space, action_space, num_outputs, model_config, name, inner, previous_size
        )
        self._cell = int(model_config["lstm_cell_size"])
        self._takes_action = (
            model_config["lstm_use_prev_action"] or model_config["lstm_use_prev_action_reward"]
        )
        self._takes_reward = (
            model_config["lstm_use_prev_reward"] or model_config["lstm_use_prev_action_reward"]
        )
        self._lstm = nn.LSTM(self.feature_count(), self._cell, batch_first=True)
        for name, parameter in self._lstm.named_parameters():
            kind = "weights" if name.startswith("weight") else "bias"
            _initialise(model_config, parameter, f"lstm_{kind}_initializer")
        self._head = SlimFC(self._cell, num_outputs, nn.init.xavier_uniform_)
        self._value = SlimFC(self._cell, 1, nn.init.xavier_uniform_)
        self._out: Any = None

    def get_initial_state(self) -> list[Any]:
        return [torch.zeros(self._cell), torch.zeros(self._cell)]

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        sequences = self.features_of(input_dict).reshape(
            state[0].shape[0], -1, self._lstm.input_size
        )
        out, (h, c) = self._lstm(
            sequences, (state[0].unsqueeze(0).contiguous(), state[1].unsqueeze(0).contiguous())
        )
        self._out = out.reshape(-1, self._cell)
        return self._head(self._out), [h.squeeze(0), c.squeeze(0)]

    def value_function(self) -> Any:
        return self._value(self._out).squeeze(1)


def _initialise(config: Any, parameter: Any, key: str) -> None:
    """Fills a parameter as config[key] and config[key + "_config"] say, if they do."""
    made = initializer(config.get(key))
    if made is not None:
        with torch.no_grad():
            made(parameter, **(config.get(f"{key}_config") or {}))


# Whether the outputs of a stage's layers are normalised before their activation.
_LAYER_NORM = {"fcnet": "fcnet_use_layernorm", "post_fcnet": "head_fcnet_use_layernorm"}


def _stage(config: Any, name: str) -> tuple[Any, Any, Any, str]:
    """Sizes and activation of `NAME_hiddens`, and where its initialisers stand."""
    return config.get(f"{name}_hiddens") or [], config.get(f"{name}_activation"), config, name


def _dense(size: int, stages: Any) -> tuple[Any, int]:
    layers: list[Any] = []
    for hiddens, activation_name, config, name in stages:
        for hidden in hiddens:
            layer = SlimFC(
                size,
                int(hidden),
                activation_fn=activation(activation_name),
                use_layernorm=bool(config.get(_LAYER_NORM[name])),
            )
            _initialise(config, layer.linear.weight, f"{name}_weights_initializer")
            _initialise(config, layer.linear.bias, f"{name}_bias_initializer")
            layers.append(layer)
            size = int(hidden)
    return nn.Sequential(*layers), size
