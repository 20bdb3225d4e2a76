"""Any nn.Module and any RLModule as the model of a TorchPolicy."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from .misc import SlimFC
from .torch_modelv2 import TorchModelV2

__all__ = ["ModuleModel", "RLModuleModel", "model_of_rl_module"]


class ModuleModel(TorchModelV2, nn.Module):
    """An nn.Module whose forward(obs) gives outputs [n, num_outputs], or (outputs, values [n] or [n, 1]).

    A class is made with those of (obs_space, action_space, num_outputs, model_config, name) that its
    constructor names and with custom_model_config; an instance is used as it is. Without values, a linear value
    function on the observations is added.
    """

    def __init__(
        self,
        obs_space: Any,
        action_space: Any,
        num_outputs: int,
        model_config: Any,
        name: str,
        module: Any,
    ) -> None:
        TorchModelV2.__init__(self, obs_space, action_space, num_outputs, model_config, name)
        nn.Module.__init__(self)
        self.module = module if isinstance(module, nn.Module) else self._make(module)
        self._value_of_obs: Any = None
        if not hasattr(self.module, "value_function"):
            size = 1
            for n in obs_space.shape:
                size *= int(n)
            self._value_of_obs = SlimFC(size, 1)
        self._values: Any = None
        self._flat: Any = None

    def _make(self, made: Any) -> Any:
        given = {
            "obs_space": self.obs_space,
            "observation_space": self.obs_space,
            "action_space": self.action_space,
            "num_outputs": self.num_outputs,
            "model_config": self.model_config,
            "name": self.name,
            **(self.model_config.get("custom_model_config") or {}),
        }
        parameters = inspect.signature(made).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return made(**given)
        return made(**{key: value for key, value in given.items() if key in parameters})

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        self._flat = input_dict["obs_flat"].float()
        obs = input_dict["obs"]
        out = self.module(obs.float() if torch.is_tensor(obs) else obs)
        self._values = None
        if isinstance(out, tuple):
            out, self._values = out
        return out, state

    def value_function(self) -> Any:
        if self._values is not None:
            return self._values.reshape(-1)
        if self._value_of_obs is None:
            return self.module.value_function().reshape(-1)
        return self._value_of_obs(self._flat).squeeze(1)


class RLModuleModel(TorchModelV2, nn.Module):
    """An RLModule: forward_train(batch)["action_dist_inputs"], and compute_values(batch) where it has it."""

    def __init__(
        self,
        obs_space: Any,
        action_space: Any,
        num_outputs: int,
        model_config: Any,
        name: str,
        module: Any,
    ) -> None:
        TorchModelV2.__init__(self, obs_space, action_space, num_outputs, model_config, name)
        nn.Module.__init__(self)
        self.module = module
        self._batch: Any = None
        self._out: Any = None

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        self._batch = {"obs": input_dict["obs"]}
        forward = (
            self.module.forward_train
            if input_dict.get("is_training")
            else self.module.forward_exploration
        )
        self._out = forward(self._batch)
        return self._out["action_dist_inputs"], state

    def value_function(self) -> Any:
        if hasattr(self.module, "compute_values"):
            return self.module.compute_values(self._batch, self._out.get("embeddings")).reshape(-1)
        if "vf_preds" in self._out:
            return self._out["vf_preds"].reshape(-1)
        return torch.zeros(len(self._out["action_dist_inputs"]))


def model_of_rl_module(
    spec: Any, obs_space: Any, action_space: Any, num_outputs: int, config: Any
) -> Any:
    """The model of `rl_module_spec`: an RLModuleSpec, the class of a module, or None inside of a spec."""
    from ..catalog import ModelCatalog

    module_class = getattr(spec, "module_class", spec)
    if module_class is None:
        return ModelCatalog.get_model_v2(obs_space, action_space, num_outputs, config["model"])
    options = getattr(spec, "model_config", None)
    options = dict(config["model"]) if options is None else options
    module = module_class(
        observation_space=obs_space, action_space=action_space, model_config=options
    )
    return RLModuleModel(obs_space, action_space, num_outputs, config["model"], "rl_module", module)
