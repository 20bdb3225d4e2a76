"""`ray.tune.integration.wandb`: it is eagleray.tune.logger.wandb."""

from __future__ import annotations

from ..logger.wandb import WandbLoggerCallback, setup_wandb

__all__ = ["WandbLoggerCallback", "setup_wandb"]
