"""PPO by the names of Ray 1.x."""

from __future__ import annotations

from ...algorithms.ppo.ppo import PPO, PPOConfig, PPOTrainer

__all__ = ["DEFAULT_CONFIG", "PPO", "PPOConfig", "PPOTrainer"]

DEFAULT_CONFIG = PPOConfig.from_dict({}).to_dict()
