"""Proximal policy optimisation."""

from __future__ import annotations

from .ppo import PPO, PPOConfig, PPOTrainer

__all__ = ["PPO", "PPOConfig", "PPOTrainer"]
