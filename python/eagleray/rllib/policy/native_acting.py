"""NativeActing: a policy of PyTorch's whose net is plain layers acts with a copy of that net in C++.

For rollouts of nets that learn elsewhere or otherwise than natively (on a GPU, in several learners): a step of one environment
costs a fraction of PyTorch's calls. With learner_backend="torch" nothing is native.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._native import net_reason
from .native_policy import made_mlp, names_in_torch
from .sample_batch import SampleBatch

__all__ = ["NativeActing"]


class NativeActing:
    """Owned by a TorchPolicy. The copy follows the net: it is made anew after each step of the optimiser, for each fragment,
    for each call from outside of a sampler, and where a parameter's version has risen. What goes past all of these (an
    assignment to `parameter.data` within a fragment) counts from the next fragment on."""

    def __init__(self, policy: Any) -> None:
        self._policy = policy
        config = policy.config
        self._seed = (
            int(config["seed"])
            if config["seed"] is not None
            else int(np.random.default_rng().integers(1 << 31))
        )
        self._mlp = made_mlp(policy.observation_space, policy.action_space, config, self._seed)
        self._critic = bool(config.get("use_critic", True))
        self._names = names_in_torch(len(config["model"]["fcnet_hiddens"]))
        self._parameters = dict(policy.model.named_parameters())
        self._seen: list[int] = []
        self._acted = 0
        policy.optimizer.register_step_post_hook(
            lambda *_: self.forget()
        )  # fused ones raise no version

    @classmethod
    def for_policy(cls, policy: Any) -> NativeActing | None:
        """None: its net, or its way of acting, is its own."""
        from ..models.torch.fcnet import FullyConnectedNetwork
        from .torch_policy import TorchPolicy

        kind, config = type(policy), policy.config
        if config["learner_backend"] != "auto" or policy.device.type != "cpu":
            return None
        if kind.act is not TorchPolicy.act or type(policy.model) is not FullyConnectedNetwork:
            return None
        reason = net_reason(config, policy.observation_space, policy.action_space)
        return cls(policy) if reason is None else None

    def act(self, obs: Any, explore: bool, noise: Any) -> tuple[Any, list[Any], dict[str, Any]]:
        """As NativePolicy.act()."""
        if noise is None:
            self.forget()
            noise = (self._seed, 1 << 40, self._acted)
            self._acted += 1
        self._follow()
        rows = np.ascontiguousarray(np.asarray(obs, np.float32).reshape(len(obs), -1))
        actions, logp, inputs, values = self._mlp.act(
            rows, explore=bool(explore), seed=noise[0], first_index=noise[1], step=noise[2]
        )
        extras = {
            SampleBatch.ACTION_DIST_INPUTS: inputs,
            SampleBatch.ACTION_LOGP: logp,
            SampleBatch.VF_PREDS: values if self._critic else np.zeros_like(values),
        }
        return actions, [], extras

    def forget(self) -> None:
        """The weights may have changed."""
        self._seen = []

    def _follow(self) -> None:
        """Takes the net's weights over, if they have changed."""
        versions = [parameter._version for parameter in self._parameters.values()]
        if versions != self._seen:
            self._mlp.set_weights(
                {
                    self._names[name]: parameter.detach().numpy()
                    for name, parameter in self._parameters.items()
                }
            )
            self._seen = versions
