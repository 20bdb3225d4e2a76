"""PPO by the names of Ray 1.x."""

from __future__ import annotations

from . import DEFAULT_CONFIG, PPO, PPOConfig, PPOTrainer

__all__ = ["DEFAULT_CONFIG", "PPO", "PPOConfig", "PPOTrainer"]
