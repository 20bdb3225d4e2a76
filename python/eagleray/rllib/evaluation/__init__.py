"""Sampling: rollout workers and what they do."""

from __future__ import annotations

from ..utils.lazy import lazily

_PLACES = {
    "Episode": ".episode",
    "MultiAgentBatch": "..policy.sample_batch",
    "MultiAgentEpisode": ".episode:Episode",
    "RolloutWorker": ".rollout_worker",
    "SampleBatch": "..policy.sample_batch",
    "WorkerSet": ".worker_set",
    "SampleBatchBuilder": ".sample_batch_builder",
    "compute_advantages": ".postprocessing",
}
__all__ = list(_PLACES)
__getattr__ = lazily(__name__, _PLACES)
