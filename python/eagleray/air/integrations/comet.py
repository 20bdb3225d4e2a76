"""`ray.air.integrations.comet`: it is eagleray.tune.logger.comet."""

from __future__ import annotations

from ...tune.logger.comet import CometLoggerCallback

__all__ = ["CometLoggerCallback"]
