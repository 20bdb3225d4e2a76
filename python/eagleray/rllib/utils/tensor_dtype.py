"""The numpy type of what may be a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["get_np_dtype"]


def get_np_dtype(x: Any) -> Any:
    """np.dtype of an array, or that of numpy for a tensor's."""
    if hasattr(x, "detach"):
        return np.dtype(str(x.dtype).removeprefix("torch."))
    return np.dtype(x.dtype)
