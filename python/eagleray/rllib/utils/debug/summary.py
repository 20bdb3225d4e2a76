"""summarize(): the form of a nested structure instead of its contents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["summarize"]


def summarize(obj: Any) -> str:
    """Text for a log: shapes, types, least, greatest and mean of arrays, lengths of lists."""
    import pprint

    return pprint.pformat(_summary(obj), width=100)


class _Text(str):
    """A string that prints without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _summary(obj: Any) -> Any:
    if isinstance(obj, Mapping):
        return {key: _summary(value) for key, value in obj.items()}
    if hasattr(obj, "_asdict"):
        return {"type": type(obj).__name__, **{k: _summary(v) for k, v in obj._asdict().items()}}
    if isinstance(obj, list):
        return _Text(f"list of {len(obj)}: [{_summary(obj[0])!r}...]") if obj else []
    if isinstance(obj, tuple):
        return tuple(_summary(part) for part in obj)
    if isinstance(obj, np.ndarray):
        if obj.size == 0 or obj.dtype == object:
            return _Text(f"array({obj.shape}, dtype={obj.dtype})")
        numbers = f"min={obj.min():.3g}, max={obj.max():.3g}, mean={obj.mean():.3g}"
        return _Text(f"array({obj.shape}, dtype={obj.dtype}, {numbers})")
    return obj
