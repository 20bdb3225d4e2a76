"""PPO's loss in PyTorch, for nets that the native learner does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..utils.schedules import schedule_of
from .sample_batch import SampleBatch
from .torch_policy import TorchPolicy

__all__ = ["PPOTorchPolicy", "adapted_kl_coeff", "explained_variance", "masked_mean"]


def adapted_kl_coeff(coeff: float, kl: float, target: float) -> float:
    """The coefficient for the next iteration: 1.5 times as much above 2 targets, half as much below half of one."""
    if kl > 2.0 * target:
        return coeff * 1.5
    if kl < 0.5 * target:
        return coeff * 0.5
    return coeff


def explained_variance(targets: Any, errors: Any, mask: Any = None) -> Any:
    """1 - Var[errors] / Var[targets], at least -1, over rows or those that are no padding; errors: of predictions."""
    share = _variance(errors, mask) / _variance(targets, mask).clamp(min=1e-8)
    return torch.clamp(1.0 - share, min=-1.0)


def _variance(values: Any, mask: Any) -> Any:
    if mask is None:
        return values.var()
    mean = masked_mean(mask)
    return mean((values - mean(values)).square())


class PPOTorchPolicy(TorchPolicy):
    """See algorithms.ppo."""

    def __init__(self, observation_space: Any, action_space: Any, config: Any) -> None:
        self.kl_coeff = float(config["kl_coeff"]) if config["use_kl_loss"] else 0.0
        self._entropy = schedule_of(config["entropy_coeff_schedule"], config["entropy_coeff"])
        super().__init__(observation_space, action_space, config)

    def coefficients(self) -> dict[str, float]:
        entropy = self._entropy.value(self.global_timestep)
        return {"kl_coeff": self.kl_coeff, "entropy_coeff": entropy}

    def loss(self, model: Any, dist_class: Any, train_batch: Any) -> Any:
        config = self.config
        outputs = self.forward(train_batch)
        mask = train_batch.get("mask")
        mean = masked_mean(mask)
        current = dist_class(outputs, model)
        previous = dist_class(train_batch[SampleBatch.ACTION_DIST_INPUTS], model)
        actions = self.action_tensors(train_batch[SampleBatch.ACTIONS])
        ratio = torch.exp(current.logp(actions) - train_batch[SampleBatch.ACTION_LOGP])
        advantages = train_batch[SampleBatch.ADVANTAGES]
        clip = config["clip_param"]
        surrogate = torch.min(advantages * ratio, advantages * ratio.clamp(1 - clip, 1 + clip))
        policy_loss = -mean(surrogate)
        entropy = mean(current.entropy())
        entropy_coeff = self.coefficient["entropy_coeff"]
        total = policy_loss - entropy_coeff * entropy
        kl = mean(previous.kl(current))
        if self.kl_coeff > 0.0:
            total = total + self.coefficient["kl_coeff"] * kl
        if config["use_critic"]:
            targets = train_batch[SampleBatch.VALUE_TARGETS]
            values = model.value_function()
            errors = values - targets
            squares, limit = errors.square(), config["vf_clip_param"]
            vf_loss = mean(squares if limit is None else squares.clamp(max=limit))
            total = total + config["vf_loss_coeff"] * vf_loss
            self.note("vf_loss", vf_loss)
            self.note("vf_explained_var", explained_variance(targets, errors.detach(), mask))
        for name, value in (
            ("total_loss", total),
            ("policy_loss", policy_loss),
            ("kl", kl),
            ("entropy", entropy),
            ("entropy_coeff", entropy_coeff),
            ("cur_kl_coeff", self.coefficient["kl_coeff"]),
        ):
            self.note(name, value)
        return total

    def prepare(self, batch: SampleBatch) -> SampleBatch:
        """With advantages standardised over the whole batch. Deviations under 1e-4 count as 1e-4, as in Ray."""
        advantages = batch[SampleBatch.ADVANTAGES]
        deviation = max(float(advantages.std()), 1e-4)
        batch = SampleBatch(batch)
        batch[SampleBatch.ADVANTAGES] = ((advantages - advantages.mean()) / deviation).astype(
            "float32"
        )
        return batch

    def after_learning(self, stats: dict[str, float]) -> None:
        if self.config["use_kl_loss"] and "kl" in stats:
            self.kl_coeff = adapted_kl_coeff(self.kl_coeff, stats["kl"], self.config["kl_target"])

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "kl_coeff": self.kl_coeff}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.kl_coeff = state.get("kl_coeff", self.kl_coeff)
        super().set_state(state)


def masked_mean(mask: Any) -> Any:
    """The mean over rows, or over those that are no padding."""
    if mask is None:
        return torch.mean
    count = mask.sum().clamp(min=1)
    return lambda values: torch.where(mask, values, torch.zeros_like(values)).sum() / count
