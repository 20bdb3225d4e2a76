"""Batches as lines of JSON, in Ray's format: one batch a line, large columns packed."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

import numpy as np

from ..policy.sample_batch import MultiAgentBatch, SampleBatch

__all__ = ["from_line", "to_line"]

_PACKED = "__zlib_npy__"


def to_line(batch: Any, packed: tuple[str, ...] = ("obs", "new_obs")) -> str:
    """One line, without its end. packed: columns that are compressed (zlib, base64) instead of spelled out."""
    if isinstance(batch, MultiAgentBatch):
        policies = {name: _columns(part, packed) for name, part in batch.policy_batches.items()}
        return json.dumps(
            {"type": "MultiAgentBatch", "count": batch.count, "policy_batches": policies}
        )
    return json.dumps({"type": "SampleBatch", **_columns(batch, packed)})


def _columns(batch: SampleBatch, packed: tuple[str, ...]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in batch.items():
        if key == SampleBatch.INFOS:
            continue
        array = np.asarray(value)
        if key in packed:
            text = base64.b64encode(
                zlib.compress(np.ascontiguousarray(array).tobytes(), 1)
            ).decode()
            out[key] = {_PACKED: text, "dtype": array.dtype.str, "shape": array.shape}
        else:
            out[key] = array.tolist()
    return out


def from_line(line: str) -> Any:
    """A SampleBatch or MultiAgentBatch. ValueError: the line is no batch."""
    try:
        data = json.loads(line)
    except ValueError as error:
        raise ValueError(f"not a line of JSON: {line[:60]!r}") from error
    if not isinstance(data, dict) or "type" not in data:
        raise ValueError(f"not a batch of experience: {line[:60]!r}")
    if data.pop("type") == "MultiAgentBatch":
        parts = {name: _batch(part) for name, part in data["policy_batches"].items()}
        return MultiAgentBatch(parts, int(data["count"]))
    return _batch(data)


def _batch(columns: dict[str, Any]) -> SampleBatch:
    return SampleBatch(
        {key: _unpack(key, value) for key, value in columns.items() if value is not None}
    )


def _unpack(key: str, value: Any) -> Any:
    if isinstance(value, dict) and _PACKED in value:
        raw = zlib.decompress(base64.b64decode(value[_PACKED]))
        return np.frombuffer(raw, np.dtype(value["dtype"])).reshape(value["shape"]).copy()
    if isinstance(value, str):
        return _ray_packed(value)
    array = np.asarray(value)
    if array.dtype == np.float64 and key != "rewards_to_go":
        array = array.astype(np.float32)
    return array


def _ray_packed(text: str) -> Any:
    """A column that Ray compressed with LZ4 (base64 of a pickled array). Only trusted files should be read."""
    try:
        import lz4.frame
    except ImportError:
        raise ImportError(
            "this file was written by Ray with LZ4; reading it needs the package lz4"
        ) from None
    return pickle.loads(lz4.frame.decompress(base64.b64decode(text)))
