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
    or an array.

    With a memory it takes and gives columns [n, time, ...], as in Ray: batch["state_in"] is get_initial_state()
    with a first dimension for n, what comes back has "state_out" for the next call. A net that looks at previous
    actions or rewards needs batch["prev_actions"] or ["prev_rewards"], those of the step before.
    """

    def __init__(self, policy: Any) -> None:
        self._policy = policy
        super().__init__(
            observation_space=policy.observation_space,
            action_space=policy.action_space,
            model_config=dict(policy.config["model"]),
        )

    def get_initial_state(self) -> dict[str, Any]:
        """Tensors without a dimension for n: an LSTM's are "h" and "c", [1, size], as in Ray; others "state_0"..."""
        parts = [torch.as_tensor(part) for part in self._policy.get_initial_state()]
        if self._is_lstm:
            return {name: part[None] for name, part in zip(("h", "c"), parts, strict=True)}
        return {f"state_{at}": part for at, part in enumerate(parts)}

    @property
    def _is_lstm(self) -> bool:
        from ..models.torch.fcnet import LSTMNetwork

        return self._policy.framework == "torch" and isinstance(self._policy.model, LSTMNetwork)

    def _forward(self, batch: Any, **kwargs: Any) -> dict[str, Any]:
        with torch.no_grad():
            return self._forward_train(batch)

    def _forward_train(self, batch: Any, **kwargs: Any) -> dict[str, Any]:
        if self.is_stateful():
            return self._remembering(batch)
        outputs, values = self._outputs(batch["obs"])
        return {"action_dist_inputs": outputs, "vf_preds": values}

    def compute_values(self, batch: Any, embeddings: Any = None) -> Any:
        """V of the observations: [n], with a memory [n, time]."""
        return self._forward_train(batch)["vf_preds"]

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

    def _remembering(self, batch: Any) -> dict[str, Any]:
        model, device = self._policy.model, self._policy.device
        obs = torch.as_tensor(batch["obs"], device=device)
        if obs.dim() != len(self.observation_space.shape) + 2:
            raise ValueError(
                f"observations of a net with a memory are [n, time, ...], not {list(obs.shape)}"
            )
        rows, steps = obs.shape[:2]
        inputs: dict[str, Any] = {"obs": obs, "is_training": torch.is_grad_enabled()}
        if "prev_actions" in batch:
            previous = np.asarray(batch["prev_actions"])
            inputs["prev_actions"] = torch.as_tensor(previous, device=device)
            hot = self._policy.columns.one_hot(previous.reshape(rows * steps, *previous.shape[2:]))
            inputs["prev_actions_flat"] = torch.as_tensor(hot, device=device).unflatten(
                0, (rows, steps)
            )
        if "prev_rewards" in batch:
            inputs["prev_rewards"] = torch.as_tensor(batch["prev_rewards"], device=device)
        missing = sorted(set(getattr(model, "looks_back_at", ())) - inputs.keys())
        if missing:
            raise ValueError(f"the net needs {' and '.join(missing)} in its batch")
        flat = {k: v.flatten(0, 1) if torch.is_tensor(v) else v for k, v in inputs.items()}
        given = [
            torch.as_tensor(batch["state_in"][name], device=device)
            for name in self.get_initial_state()
        ]
        states = [part.squeeze(1) for part in given] if self._is_lstm else given
        lens = torch.full((rows,), steps, dtype=torch.int32, device=device)
        outputs, after = model(flat, states, lens)
        after = [part.unsqueeze(1) for part in after] if self._is_lstm else after
        return {
            "action_dist_inputs": outputs.unflatten(0, (rows, steps)),
            "vf_preds": model.value_function().unflatten(0, (rows, steps)),
            "state_out": dict(zip(self.get_initial_state(), after, strict=True)),
        }

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
