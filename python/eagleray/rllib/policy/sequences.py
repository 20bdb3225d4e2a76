"""Batches for recurrent nets: cut into sequences of at most `max_seq_len` steps, padded to equal length."""

from __future__ import annotations

from typing import Any

import numpy as np

from .sample_batch import SampleBatch

__all__ = ["pad_sequences"]


def pad_sequences(batch: SampleBatch, max_seq_len: int) -> SampleBatch:
    """Rows [n] to rows [sequences * length], zeros after the end of each sequence.

    A sequence ends with its episode (`eps_id`), its fragment (`unroll_id`) or after max_seq_len steps. The
    columns `state_in_i`, one row a step, keep the rows at which a sequence begins; `seq_lens` and `mask` are
    added.
    """
    starts, lens = _sequences(batch, max_seq_len)
    length = int(max(lens))
    places = np.concatenate([np.arange(n) + i * length for i, n in enumerate(lens)])
    padded = SampleBatch()
    for key, value in batch.items():
        if not isinstance(value, np.ndarray) or value.dtype == object:
            continue
        if key.startswith("state_in_"):
            padded[key] = value[starts]
            continue
        column = np.zeros((len(lens) * length, *value.shape[1:]), value.dtype)
        column[places] = value
        padded[key] = column
    mask = np.zeros(len(lens) * length, bool)
    mask[places] = True
    padded["mask"] = mask
    padded[SampleBatch.SEQ_LENS] = np.asarray(lens, np.int32)
    return padded


def _sequences(batch: SampleBatch, max_seq_len: int) -> tuple[Any, Any]:
    count = batch.count
    new = np.zeros(count, bool)
    new[0] = True
    for key in (SampleBatch.EPS_ID, SampleBatch.UNROLL_ID, SampleBatch.AGENT_INDEX):
        if key in batch:
            new[1:] |= batch[key][1:] != batch[key][:-1]
    edges = [*np.flatnonzero(new).tolist(), count]
    starts = [
        start
        for a, b in zip(edges[:-1], edges[1:], strict=True)
        for start in range(a, b, max_seq_len)
    ]
    ends = [*starts[1:], count]
    lens = [end - start for start, end in zip(starts, ends, strict=True)]
    return np.asarray(starts), lens
