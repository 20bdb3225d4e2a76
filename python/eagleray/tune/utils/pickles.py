"""Pickles that other programs read: fast where nothing in them is of this program only."""

from __future__ import annotations

import pickle
from typing import Any

from eagleray import cloudpickle


def dumps(value: Any) -> bytes:
    """By reference where that will still mean the same: not for what __main__ or a function has defined."""
    try:
        blob = pickle.dumps(value, protocol=5)
    except Exception:
        return cloudpickle.dumps(value)
    return blob if b"__main__" not in blob else cloudpickle.dumps(value)
