"""PPO by the names of Ray 1.x."""

from __future__ import annotations

from ...algorithms.ppo.ppo import PPO, PPOConfig, PPOTrainer
from ...utils.lazy import lazily

__all__ = ["DEFAULT_CONFIG", "PPO", "PPOConfig", "PPOTrainer"]

DEFAULT_CONFIG = PPOConfig.from_dict({}).to_dict()


__getattr__ = lazily(__name__)  # names that are planned
