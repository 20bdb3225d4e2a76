"""Importing PyTorch where it may be missing."""

from __future__ import annotations

from typing import Any

__all__ = ["try_import_tf", "try_import_torch"]


def try_import_torch(error: bool = False) -> tuple[Any, Any]:
    """(torch, torch.nn); (None, None) where PyTorch is missing, or with error=True its ImportError."""
    try:
        import torch
        from torch import nn
    except ImportError:
        if error:
            raise
        return None, None
    return torch, nn


def try_import_tf(error: bool = False) -> tuple[None, None, None]:
    """(None, None, None): there is no TensorFlow here. With error=True an ImportError."""
    if error:
        raise ImportError("eagleray.rllib has no TensorFlow")
    return None, None, None
