"""Any nn.Module and any RLModule as the model of a TorchPolicy."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from ...utils.trees import map_tree
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
    """An RLModule: forward_train(batch)["action_dist_inputs"], and compute_values(batch) where it has it.

    One whose get_initial_state() gives something gets and gives columns [sequences, time, ...], as in Ray: batch
    has "state_in" in that structure, each part [sequences, ...], "seq_lens", and while it learns "loss_mask"; what it
    gives has "state_out".
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
        self.module = module
        self._initial: Any = getattr(module, "get_initial_state", dict)() or {}
        self._batch: Any = None
        self._out: Any = None

    def get_initial_state(self) -> list[Any]:
        return [torch.as_tensor(part) for part in self._parts(self._initial)]

    def _parts(self, state: Any) -> list[Any]:
        """The parts of a state, in the order of those of the first."""
        parts: list[Any] = []
        map_tree(lambda _, part: parts.append(part), self._initial, state)
        return parts

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        learns = bool(input_dict.get("is_training"))
        self._batch = {"obs": input_dict["obs"]}
        if state:
            parts = iter(state)
            self._batch = {
                "obs": map_tree(lambda t: t.unflatten(0, (len(state[0]), -1)), input_dict["obs"]),
                "state_in": map_tree(lambda _: next(parts), self._initial),
                "seq_lens": seq_lens,
            }
            if "mask" in input_dict:
                self._batch["loss_mask"] = input_dict["mask"].unflatten(0, (len(state[0]), -1))
        forward = self.module.forward_train if learns else self.module.forward_exploration
        self._out = forward(self._batch)
        outputs = self._out["action_dist_inputs"]
        if not state:
            return outputs, state
        after = self._out.get("state_out")
        return outputs.flatten(0, 1), state if after is None else self._parts(after)

    def value_function(self) -> Any:
        if hasattr(self.module, "compute_values"):
            return self.module.compute_values(self._batch, self._out.get("embeddings")).reshape(-1)
        if "vf_preds" in self._out:
            return self._out["vf_preds"].reshape(-1)
        inputs = self._out["action_dist_inputs"]
        return inputs.new_zeros(inputs.shape[:-1]).reshape(-1)


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
