"""Episodes with perturbed weights: what evolution strategies and random search ask of rollout workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..policy.sample_batch import DEFAULT_POLICY_ID

__all__ = ["direction", "flat", "run_directions", "unflat"]


def flat(weights: Mapping[str, Any]) -> Any:
    """All weights as one float32 vector, by name."""
    return np.concatenate([np.ravel(weights[name]) for name in sorted(weights)]).astype(np.float32)


def unflat(vector: Any, like: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of flat()."""
    out, at = {}, 0
    for name in sorted(like):
        size = int(np.size(like[name]))
        out[name] = np.ascontiguousarray(
            vector[at : at + size].reshape(np.shape(like[name])), np.float32
        )
        at += size
    return out


def direction(seed: int, size: int) -> Any:
    """The perturbation of a seed: standard normal, float32 [size]."""
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(size, dtype=np.float32)


def run_directions(
    worker: Any, vector: Any, seeds: list[int], deviation: float, filters: Any
) -> Any:
    """Each direction once forwards and once backwards, an episode each.

    Gives (rewards [n, 2], lengths [n, 2], the episodes, deltas of filters).
    """
    policy = worker.policy_map[DEFAULT_POLICY_ID]
    like = policy.get_weights()
    worker.sync_filters(filters)
    rewards, lengths = np.zeros((len(seeds), 2)), np.zeros((len(seeds), 2), int)
    episodes = []
    for at, seed in enumerate(seeds):
        step = deviation * direction(seed, len(vector))
        for side, sign in enumerate((1.0, -1.0)):
            policy.set_weights(unflat(vector + sign * step, like))
            sampler = worker.sampler
            sampler.episodes(1, 0, False)
            record, sampler.records = sampler.records[0], []
            rewards[at, side], lengths[at, side] = record.reward, record.length
            episodes.append(record)
    deltas = {name: part.take_delta() for name, part in worker.filters.items() if part.is_filter}
    return rewards, lengths, episodes, deltas
