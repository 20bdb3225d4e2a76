"""Nets as files that other programs run: TorchScript and ONNX."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["export_torch"]


class _Acting(nn.Module):
    """obs [n, ...] -> (action distribution's inputs [n, size], values [n])."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, obs: Any) -> Any:
        outputs, _ = self.model({"obs": obs, "is_training": False}, [], None)
        return outputs, self.model.value_function()


class _RecurrentActing(_Acting):
    """obs and states [n, ...] -> (inputs of the distribution, values, next states). Previous actions and rewards count as zero."""

    def __init__(self, model: Any, action_width: int) -> None:
        super().__init__(model)
        self.action_width = action_width

    def forward(self, obs: Any, *states: Any) -> Any:
        rows = obs.shape[0]
        inputs = {
            "obs": obs,
            "is_training": False,
            "prev_rewards": torch.zeros(rows),
            "prev_actions_flat": torch.zeros(rows, self.action_width),
        }
        outputs, out = self.model(inputs, list(states), torch.ones(rows, dtype=torch.int32))
        return (outputs, self.model.value_function(), *out)


def _on_cpu(model: Any) -> Any:
    """The model, or a copy of one that is on a GPU, where it stays: it is learnt with further on."""
    if all(each.device.type == "cpu" for each in model.parameters()):
        return model
    # Results that modules keep (the values of the last forward()) are parts of a graph, which are not copied.
    kept = {
        id(value): value.detach()
        for module in model.modules()
        for value in vars(module).values()
        if torch.is_tensor(value) and not value.is_leaf
    }
    return copy.deepcopy(model, kept).cpu()


def export_torch(policy: Any, export_dir: str, onnx: int | None) -> None:
    """Writes `model.pt` (TorchScript), or `model.onnx` of opset `onnx`. ImportError: the package onnx is not there."""
    directory = Path(export_dir)
    directory.mkdir(parents=True, exist_ok=True)
    model = _on_cpu(policy.model)
    model.eval()
    space = policy.observation_space
    obs = torch.zeros(
        (2, *space.shape), dtype=torch.uint8 if space.dtype == np.uint8 else torch.float32
    )
    states = [
        torch.as_tensor(part).repeat(2, *[1] * part.ndim) for part in policy.get_initial_state()
    ]
    acting: Any = _Acting(model)
    if states:
        blank = np.zeros((1, *policy.columns.shape), policy.columns.dtype)
        acting = _RecurrentActing(model, policy.columns.one_hot(blank).shape[1])
    with torch.no_grad():
        if onnx is None:
            traced = torch.jit.trace(acting, (obs, *states), check_trace=False)
            traced.save(str(directory / "model.pt"))
            return
        if importlib.util.find_spec("onnx") is None:
            raise ImportError("export to ONNX needs the package onnx")
        names = ["obs", *(f"state_in_{i}" for i in range(len(states)))]
        outs = ["action_dist_inputs", "vf_preds", *(f"state_out_{i}" for i in range(len(states)))]
        torch.onnx.export(
            acting,
            (obs, *states),
            str(directory / "model.onnx"),
            opset_version=onnx,
            input_names=names,
            output_names=outs,
            dynamic_axes={name: {0: "batch"} for name in (*names, *outs)},
            dynamo=False,
        )


def export_native(policy: Any, export_dir: str, onnx: int | None) -> None:
    """A native MLP as TorchScript or ONNX: the same net in PyTorch, with its weights."""
    from types import SimpleNamespace

    made = SimpleNamespace(
        model=_NativeTwin(policy),
        observation_space=policy.observation_space,
        get_initial_state=list,
    )
    export_torch(made, export_dir, onnx)


class _NativeTwin(nn.Module):
    """obs -> (outputs, values) by the weights of a NativePolicy."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        weights = {name: torch.from_numpy(value) for name, value in policy.get_weights().items()}
        activation = {"tanh": nn.Tanh, "relu": nn.ReLU, "linear": nn.Identity}
        made = activation[policy.config["model"]["fcnet_activation"]]
        hidden = len(policy.config["model"]["fcnet_hiddens"])
        self.policy = _trunk(weights, "policy", hidden, made)
        self.head = _linear(weights, "policy.out")
        self.shared = "value.0.weight" not in weights
        self.value = None if self.shared else _trunk(weights, "value", hidden, made)
        self.value_head = _linear(weights, "value.out")
        self.log_std = nn.Parameter(weights["log_std"]) if "log_std" in weights else None
        self._values: Any = None

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        obs = input_dict["obs"].float().flatten(1)
        features = self.policy(obs)
        outputs = self.head(features)
        if self.log_std is not None:
            outputs = torch.cat([outputs, self.log_std.expand(outputs.shape[0], -1)], dim=1)
        self._values = self.value_head(features if self.value is None else self.value(obs))
        return outputs, state

    def value_function(self) -> Any:
        return self._values.squeeze(1)


def _linear(weights: Any, name: str) -> Any:
    weight = weights[f"{name}.weight"]
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(weights[f"{name}.bias"])
    return layer


def _trunk(weights: Any, name: str, hidden: int, activation: Any) -> Any:
    layers: list[Any] = []
    for at in range(hidden):
        layers += [_linear(weights, f"{name}.{at}"), activation()]
    return nn.Sequential(*layers)
