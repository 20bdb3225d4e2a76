"""Small things that custom models and losses import."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from ..policy.ppo_torch_policy import explained_variance
from ..utils.lazy import lazily
from .trees import leaves_of, map_tree

__all__ = [
    "FLOAT_MAX",
    "FLOAT_MIN",
    "apply_grad_clipping",
    "clip_gradients",
    "compute_global_norm",
    "convert_to_torch_tensor",
    "copy_torch_tensors",
    "explained_variance",
    "flatten_inputs_to_1d_tensor",
    "global_norm",
    "huber_loss",
    "inverse_symlog",
    "l2_loss",
    "one_hot",
    "reduce_mean_ignore_inf",
    "sequence_mask",
    "set_torch_seed",
    "softmax_cross_entropy_with_logits",
    "symlog",
    "two_hot",
    "update_target_network",
    "warn_if_infinite_kl_divergence",
]

FLOAT_MIN = -3.4e38
FLOAT_MAX = 3.4e38


def apply_grad_clipping(policy: Any, optimizer: Any, loss: Any) -> dict[str, float]:
    """Clips the norm of each group of parameters to config["grad_clip"]; {"grad_gnorm": its mean before}."""
    limit = policy.config["grad_clip"]
    norms = [
        float(
            torch.nn.utils.clip_grad_norm_(
                [p for p in group["params"] if p.grad is not None], limit or float("inf")
            )
        )
        for group in optimizer.param_groups
    ]
    return {"grad_gnorm": sum(norms) / len(norms)} if norms else {}


def clip_gradients(
    gradients_dict: Mapping[Any, Any],
    *,
    grad_clip: float | None = None,
    grad_clip_by: str = "value",
) -> Any:
    """Clips gradients in place: each number ("value"), each tensor's norm ("norm"), or that of all together
    ("global_norm", which is given back)."""
    if grad_clip is None:
        return None
    found = [gradient for gradient in gradients_dict.values() if gradient is not None]
    if grad_clip_by == "value":
        for gradient in found:
            gradient.clamp_(-grad_clip, grad_clip)
        return None
    if grad_clip_by == "norm":
        for gradient in found:
            gradient.mul_(torch.clamp(grad_clip / (gradient.norm() + 1e-6), max=1.0))
        return None
    total = compute_global_norm(found)
    scale = torch.clamp(torch.as_tensor(grad_clip) / (total + 1e-6), max=1.0)
    for gradient in found:
        gradient.mul_(scale.to(gradient.device))
    return total


def compute_global_norm(gradients_list: Iterable[Any]) -> Any:
    """The Euclidean norm of all tensors together; 0.0 of none."""
    found = [gradient for gradient in gradients_list if gradient is not None]
    return torch.stack([part.detach().norm() for part in found]).norm() if found else 0.0


def global_norm(tensors: Iterable[Any]) -> Any:
    """The Euclidean norm of all tensors together, with gradients."""
    return torch.stack([part.norm() for part in tensors]).norm()


def convert_to_torch_tensor(x: Any, device: Any = None, pin_memory: bool = False, **_: Any) -> Any:
    """Arrays and numbers of a nested structure as tensors, 64-bit floating point as 32; None stays."""

    def one(value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        tensor = value if torch.is_tensor(value) else torch.as_tensor(np.asarray(value))
        if tensor.dtype == torch.float64:
            tensor = tensor.float()
        if pin_memory and torch.cuda.is_available():
            tensor = tensor.pin_memory()
        return tensor if device is None else tensor.to(device)

    return map_tree(one, x)


def copy_torch_tensors(x: Any, device: Any = None) -> Any:
    """Detached copies of the tensors of a nested structure."""

    def one(value: Any) -> Any:
        if not torch.is_tensor(value):
            return value
        copied = value.detach().clone()
        return copied if device is None else copied.to(device)

    return map_tree(one, x)


def flatten_inputs_to_1d_tensor(
    inputs: Any, spaces_struct: Any = None, time_axis: bool = False
) -> Any:
    """All parts of a nested structure beside each other, [batch, (time,) size] float32; Discrete and MultiDiscrete
    parts of `spaces_struct` become one-hot."""
    lead = 2 if time_axis else 1
    parts = leaves_of(inputs)
    spaces = leaves_of(spaces_struct) if spaces_struct is not None else [None] * len(parts)
    flat = []
    for part, space in zip(parts, spaces, strict=True):
        discrete = hasattr(space, "nvec") or type(space).__name__ == "Discrete"
        value = one_hot(part, space) if discrete else part
        flat.append(value.reshape(*value.shape[:lead], -1).float())
    return torch.cat(flat, dim=-1)


def huber_loss(x: Any, delta: float = 1.0) -> Any:
    """x**2 / 2 up to |x| = delta, linear beyond."""
    size = x.abs()
    return torch.where(size < delta, x.square() * 0.5, delta * (size - 0.5 * delta))


def l2_loss(x: Any) -> Any:
    """Half of the sum of squares."""
    return x.square().sum() * 0.5


def one_hot(x: Any, space: Any) -> Any:
    """Values of a Discrete or MultiDiscrete space as one-hot rows."""
    if hasattr(space, "nvec"):
        parts = [
            torch.nn.functional.one_hot(x[..., i].long(), int(n)) for i, n in enumerate(space.nvec)
        ]
        return torch.cat(parts, dim=-1).float()
    return torch.nn.functional.one_hot(x.long(), int(space.n)).float()


def reduce_mean_ignore_inf(x: Any, axis: int | None = None) -> Any:
    """The mean of what is not -inf (masked)."""
    real = x != float("-inf")
    kept = torch.where(real, x, torch.zeros_like(x))
    if axis is None:
        return kept.sum() / real.float().sum()
    return kept.sum(axis) / real.float().sum(axis)


def sequence_mask(
    lengths: Any, maxlen: int | None = None, dtype: Any = None, time_major: bool = False
) -> Any:
    """[sequences, maxlen] (time_major: [maxlen, sequences]): true where a step is real."""
    maxlen = int(lengths.max()) if maxlen is None else maxlen
    mask = torch.arange(maxlen, device=lengths.device)[None, :] < lengths[:, None]
    mask = mask.T if time_major else mask
    return mask if dtype is None else mask.to(dtype)


def set_torch_seed(seed: int | None = None) -> None:
    """Seeds PyTorch's random numbers and asks for algorithms that repeat."""
    if seed is None:
        return
    torch.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
    torch.use_deterministic_algorithms(True)


def softmax_cross_entropy_with_logits(logits: Any, labels: Any) -> Any:
    """-sum(labels * log softmax(logits)) of each row."""
    return (-labels * torch.nn.functional.log_softmax(logits, -1)).sum(-1)


def symlog(x: Any) -> Any:
    """sign(x) * log(|x| + 1)."""
    return torch.sign(x) * torch.log(x.abs() + 1)


def inverse_symlog(y: Any) -> Any:
    """The inverse of symlog()."""
    return torch.sign(y) * (torch.exp(y.abs()) - 1)


def two_hot(
    value: Any,
    num_buckets: int = 255,
    lower_bound: float = -20.0,
    upper_bound: float = 20.0,
    device: Any = None,
) -> Any:
    """[n, num_buckets] of values [n]: weights on the two nearest of evenly spaced buckets whose mean is the value."""
    value = value.clamp(lower_bound, upper_bound)
    place = (value - lower_bound) * (num_buckets - 1) / (upper_bound - lower_bound)
    low = place.floor().long().clamp(0, num_buckets - 1)
    high = (low + 1).clamp(0, num_buckets - 1)
    share = (place - low).unsqueeze(-1)
    hot = torch.nn.functional.one_hot
    made = hot(low, num_buckets) * (1 - share) + hot(high, num_buckets) * share
    return made if device is None else made.to(device)


def update_target_network(main_net: Any, target_net: Any, tau: float) -> None:
    """target = tau * main + (1 - tau) * target, for each weight."""
    main = main_net.state_dict()
    target_net.load_state_dict(
        {name: tau * main[name] + (1 - tau) * old for name, old in target_net.state_dict().items()}
    )


def warn_if_infinite_kl_divergence(policy: Any, kl_divergence: Any) -> None:
    """Logs a warning where a KL divergence is infinite."""
    if not torch.isfinite(torch.as_tensor(kl_divergence)):
        import logging

        logging.getLogger("eagleray.rllib").warning(
            "the KL divergence is infinite: an action that was possible no longer is; lower the learning rate"
        )


__getattr__ = lazily(__name__)  # names that are planned
