"""PolicyModule: a policy as an RLModule, for programs that act with `algorithm.get_module()` as in Ray 2.x."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..core.rl_module.rl_module import RLModule
from ..models.catalog import ModelCatalog

__all__ = ["PolicyModule"]


class PolicyModule(RLModule):
    """The net of a policy, as it is at each call. batch["obs"]: observations as the net takes them [n, ...], a tensor
    or an array. NotImplementedError for nets with a memory: their policies act (compute_single_action)."""

    def __init__(self, policy: Any) -> None:
        self._policy = policy
        super().__init__(
            observation_space=policy.observation_space,
            action_space=policy.action_space,
            model_config=dict(policy.config["model"]),
        )
        if policy.get_initial_state():
            raise NotImplementedError(
                "get_module() of a net with a memory: use get_policy().compute_single_action(obs, state)"
            )

    def _forward(self, batch: Any, **kwargs: Any) -> dict[str, Any]:
        with torch.no_grad():
            return self._forward_train(batch)

    def _forward_train(self, batch: Any, **kwargs: Any) -> dict[str, Any]:
        outputs, values = self._outputs(batch["obs"])
        return {"action_dist_inputs": outputs, "vf_preds": values}

    def compute_values(self, batch: Any, embeddings: Any = None) -> Any:
        """V of the observations: [n]."""
        return self._outputs(batch["obs"])[1]

    def _outputs(self, obs: Any) -> tuple[Any, Any]:
        if self._policy.framework == "native":
            rows = np.asarray(obs, np.float32)
            rows = np.ascontiguousarray(rows.reshape(len(rows), -1))
            outputs, values = self._policy.mlp.forward(rows)
            return torch.as_tensor(np.array(outputs)), torch.as_tensor(np.array(values))
        model = self._policy.model
        given = torch.as_tensor(obs, device=self._policy.device)
        outputs, _ = model({"obs": given, "is_training": torch.is_grad_enabled()}, [], None)
        return outputs, model.value_function()

    def get_inference_action_dist_cls(self) -> Any:
        """A class: `from_logits(out["action_dist_inputs"])` makes a distribution of it."""
        made, _ = ModelCatalog.get_action_dist(self.action_space, self._policy.config["model"])
        return type("ActionDistribution", (_FromLogits,), {"made": staticmethod(made)})

    get_exploration_action_dist_cls = get_train_action_dist_cls = get_inference_action_dist_cls

    def get_state(self, *_: Any, **__: Any) -> dict[str, Any]:
        weights: dict[str, Any] = self._policy.get_weights()
        return weights

    def set_state(self, state: Any) -> None:
        self._policy.set_weights(state)


class _FromLogits:
    """A distribution of actions with the methods of Ray 2.x."""

    made: Any = None

    def __init__(self, inputs: Any, greedy: bool = False) -> None:
        self._inputs, self._greedy = inputs, greedy
        self._of = self.made(inputs, None)

    @classmethod
    def from_logits(cls, logits: Any, **_: Any) -> _FromLogits:
        return cls(torch.as_tensor(logits))

    def to_deterministic(self) -> _FromLogits:
        """One whose sample() is the likeliest action."""
        return type(self)(self._inputs, True)

    def sample(self, **_: Any) -> Any:
        return self._of.deterministic_sample() if self._greedy else self._of.sample()

    def logp(self, value: Any) -> Any:
        return self._of.logp(value)

    def entropy(self) -> Any:
        return self._of.entropy()
