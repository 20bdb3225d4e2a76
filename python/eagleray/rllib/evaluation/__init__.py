"""Sampling: rollout workers and what they do."""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {
    "Episode": ".episode",
    "RolloutWorker": ".rollout_worker",
    "WorkerSet": ".worker_set",
    "compute_advantages": ".postprocessing",
}
__all__ = ["Episode", "MultiAgentEpisode", "RolloutWorker", "WorkerSet", "compute_advantages"]


def __getattr__(name: str) -> Any:
    wanted = "Episode" if name == "MultiAgentEpisode" else name
    if wanted in _LAZY:
        return getattr(importlib.import_module(_LAZY[wanted], __name__), wanted)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
