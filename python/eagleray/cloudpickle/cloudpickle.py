"""The module cloudpickle.cloudpickle under Ray's path."""

from __future__ import annotations

from typing import Any

import cloudpickle.cloudpickle as _real
from cloudpickle.cloudpickle import *  # noqa: F403


def __getattr__(name: str) -> Any:
    return getattr(_real, name)
