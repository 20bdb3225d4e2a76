"""`ray.air.integrations.wandb`: it is eagleray.tune.logger.wandb."""

from __future__ import annotations

from ...tune.logger.wandb import WandbLoggerCallback, setup_wandb

__all__ = ["WandbLoggerCallback", "setup_wandb"]
