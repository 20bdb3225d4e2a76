"""Proximal policy optimisation. PPOTorchPolicy is here, too, where PyTorch is installed."""

from __future__ import annotations

from ...utils.lazy import lazily
from .ppo import PPO, PPOConfig, PPOTrainer

__all__ = ["PPO", "PPOConfig", "PPOTrainer"]
__getattr__ = lazily(__name__, {"PPOTorchPolicy": "...policy.ppo_torch_policy"})
