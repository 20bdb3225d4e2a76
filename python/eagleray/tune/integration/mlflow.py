"""`ray.tune.integration.mlflow`: it is eagleray.tune.logger.mlflow."""

from __future__ import annotations

from ..logger.mlflow import MLflowLoggerCallback, setup_mlflow

__all__ = ["MLflowLoggerCallback", "setup_mlflow"]
