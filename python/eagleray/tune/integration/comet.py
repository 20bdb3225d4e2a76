"""`ray.tune.integration.comet`: it is eagleray.tune.logger.comet."""

from __future__ import annotations

from ..logger.comet import CometLoggerCallback

__all__ = ["CometLoggerCallback"]
