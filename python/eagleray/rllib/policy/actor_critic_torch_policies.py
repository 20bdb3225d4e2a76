"""The losses of A2C, PG and MARWIL (and so BC) in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..utils.schedules import schedule_of
from .ppo_torch_policy import explained_variance, masked_mean
from .sample_batch import SampleBatch
from .torch_policy import TorchPolicy

__all__ = ["A2CTorchPolicy", "MARWILTorchPolicy", "PGTorchPolicy"]


class A2CTorchPolicy(TorchPolicy):
    """Advantage actor-critic; losses are sums over the batch, as in Ray."""

    def __init__(self, observation_space: Any, action_space: Any, config: Any) -> None:
        self._entropy = schedule_of(config["entropy_coeff_schedule"], config["entropy_coeff"])
        super().__init__(observation_space, action_space, config)

    def coefficients(self) -> dict[str, float]:
        return {"entropy_coeff": self._entropy.value(self.global_timestep)}

    def loss(self, model: Any, dist_class: Any, train_batch: Any) -> Any:
        dist = dist_class(self.forward(train_batch), model)
        mask = train_batch.get("mask")
        rows = train_batch[SampleBatch.OBS].shape[0] if mask is None else mask.sum()
        mean = masked_mean(mask)
        logp = dist.logp(self.action_tensors(train_batch[SampleBatch.ACTIONS]))
        policy_loss = -mean(logp * train_batch[SampleBatch.ADVANTAGES]) * rows
        entropy = mean(dist.entropy()) * rows
        total = policy_loss - self.coefficient["entropy_coeff"] * entropy
        if self.config["use_critic"]:
            targets, values = train_batch[SampleBatch.VALUE_TARGETS], model.value_function()
            vf_loss = 0.5 * mean((values - targets).square()) * rows
            total = total + self.config["vf_loss_coeff"] * vf_loss
            self.note("vf_loss", vf_loss)
            self.note(
                "vf_explained_var", explained_variance(targets, targets - values.detach(), mask)
            )
        for name, value in (
            ("total_loss", total),
            ("policy_loss", policy_loss),
            ("entropy", entropy / rows),
        ):
            self.note(name, value)
        self.note("entropy_coeff", self.coefficient["entropy_coeff"])
        return total


class PGTorchPolicy(TorchPolicy):
    """REINFORCE: -log p * return, the mean over the batch."""

    def loss(self, model: Any, dist_class: Any, train_batch: Any) -> Any:
        dist = dist_class(self.forward(train_batch), model)
        logp = dist.logp(self.action_tensors(train_batch[SampleBatch.ACTIONS]))
        mean = masked_mean(train_batch.get("mask"))
        policy_loss = -mean(logp * train_batch[SampleBatch.ADVANTAGES])
        for name, value in (
            ("total_loss", policy_loss),
            ("policy_loss", policy_loss),
            ("entropy", mean(dist.entropy())),
        ):
            self.note(name, value)
        return policy_loss


class MARWILTorchPolicy(TorchPolicy):
    """Imitation weighted by exp(beta * advantage / running deviation of advantages); beta 0: plain imitation.

    "advantages" are discounted returns, as recorded.
    """

    def __init__(self, observation_space: Any, action_space: Any, config: Any) -> None:
        super().__init__(observation_space, action_space, config)
        start = float(config["moving_average_sqd_adv_norm_start"])
        # float64: its changes are smaller than what float32 can tell from nothing.
        self._squared_norm = torch.tensor(start, dtype=torch.float64, device=self.device)

    @property
    def squared_norm(self) -> float:
        """The running mean of squared advantages."""
        return float(self._squared_norm)

    def loss(self, model: Any, dist_class: Any, train_batch: Any) -> Any:
        config = self.config
        dist = dist_class(self.forward(train_batch), model)
        mask = train_batch.get("mask")
        mean = masked_mean(mask)
        logp = dist.logp(self.action_tensors(train_batch[SampleBatch.ACTIONS]))
        if config["bc_logstd_coeff"] > 0.0 and hasattr(dist, "log_std"):
            logp = logp + config["bc_logstd_coeff"] * dist.log_std.mean(dim=1)
        total: Any = 0.0
        weights: Any = 1.0
        if config["beta"] != 0.0:
            returns, values = train_batch[SampleBatch.ADVANTAGES], model.value_function()
            advantages = returns - values
            squared = mean(advantages.square())
            rate = config["moving_average_sqd_adv_norm_update_rate"]
            self._squared_norm.lerp_(squared.detach().double(), rate)
            scale = (1e-8 + self._squared_norm.sqrt()).float()
            weights = torch.exp(config["beta"] * advantages / scale).detach()
            vf_loss = 0.5 * squared
            total = config["vf_coeff"] * vf_loss
            self.note("vf_loss", vf_loss)
            self.note("vf_explained_var", explained_variance(returns, advantages.detach(), mask))
            self.note("moving_average_sqd_adv_norm", self._squared_norm.clone())
        policy_loss = -mean(weights * logp)
        total = total + policy_loss
        self.note("total_loss", total)
        self.note("policy_loss", policy_loss)
        return total

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "squared_norm": self.squared_norm}

    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        self._squared_norm.fill_(state.get("squared_norm", self.squared_norm))
