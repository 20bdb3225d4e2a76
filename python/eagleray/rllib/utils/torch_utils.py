"""Small things that custom models import."""

from __future__ import annotations

from typing import Any

import torch

from ..policy.ppo_torch_policy import explained_variance

__all__ = [
    "FLOAT_MAX",
    "FLOAT_MIN",
    "convert_to_torch_tensor",
    "explained_variance",
    "one_hot",
    "sequence_mask",
]

FLOAT_MIN = -3.4e38
FLOAT_MAX = 3.4e38


def one_hot(x: Any, space: Any) -> Any:
    """Values of a Discrete or MultiDiscrete space as one-hot rows."""
    if hasattr(space, "nvec"):
        parts = [
            torch.nn.functional.one_hot(x[..., i].long(), int(n)) for i, n in enumerate(space.nvec)
        ]
        return torch.cat(parts, dim=-1).float()
    return torch.nn.functional.one_hot(x.long(), int(space.n)).float()


def sequence_mask(lengths: Any, maxlen: int | None = None, dtype: Any = None, **_: Any) -> Any:
    """[sequences, maxlen]: true where a step is real."""
    maxlen = int(lengths.max()) if maxlen is None else maxlen
    mask = torch.arange(maxlen, device=lengths.device)[None, :] < lengths[:, None]
    return mask if dtype is None else mask.to(dtype)


def convert_to_torch_tensor(x: Any, device: Any = None, **_: Any) -> Any:
    """Arrays of a nested structure as tensors."""
    if isinstance(x, dict):
        return {key: convert_to_torch_tensor(value, device) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return type(x)(convert_to_torch_tensor(value, device) for value in x)
    return torch.as_tensor(x, device=device)
