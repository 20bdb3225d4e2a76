"""Importing PyTorch where it may be missing, and what depends on it. TensorFlow and JAX are not used here."""

from __future__ import annotations

from typing import Any

__all__ = [
    "convert_to_tensor",
    "get_activation_fn",
    "get_device",
    "get_variable",
    "tf_function",
    "try_import_jax",
    "try_import_tf",
    "try_import_tfp",
    "try_import_torch",
]


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


def try_import_tfp(error: bool = False) -> None:
    """None: there is no TensorFlow Probability here. With error=True an ImportError."""
    if error:
        raise ImportError("eagleray.rllib has no TensorFlow Probability")


def try_import_jax(error: bool = False) -> tuple[None, None]:
    """(None, None): there is no JAX here. With error=True an ImportError."""
    if error:
        raise ImportError("eagleray.rllib has no JAX")
    return None, None


def tf_function(tf_module: Any) -> Any:
    """A decorator that changes nothing: there is no TensorFlow here."""
    return lambda function: function


def _torch_only(framework: str) -> None:
    if framework not in ("torch", "numpy"):
        raise NotImplementedError(
            f'framework="{framework}" is not implemented in eagleray.rllib; "torch" is'
        )


def convert_to_tensor(data: Any, framework: str, device: Any = None) -> Any:
    """A nested structure of arrays as tensors of PyTorch."""
    _torch_only(framework)
    from .torch_utils import convert_to_torch_tensor

    return convert_to_torch_tensor(data, device)


def get_activation_fn(name: Any = None, framework: str = "torch") -> Any:
    """The class of a module of PyTorch by its name; None for "linear"."""
    _torch_only(framework)
    from ..models.torch.misc import activation

    return activation(name)


def get_device(config: Any, num_gpus_requested: float = 1) -> Any:
    """ "cuda" where a GPU is asked for and there, else "cpu"."""
    torch, _ = try_import_torch(error=True)
    return torch.device("cuda" if num_gpus_requested > 0 and torch.cuda.is_available() else "cpu")


def get_variable(
    value: Any,
    framework: str = "torch",
    trainable: bool = False,
    tf_name: str = "",
    torch_tensor: bool = False,
    device: Any = None,
    shape: Any = None,
    dtype: Any = None,
) -> Any:
    """The value itself, or with torch_tensor=True a tensor of it."""
    if not torch_tensor:
        return value
    _torch_only(framework)
    torch, _ = try_import_torch(error=True)
    made = torch.as_tensor(value, dtype=dtype, device=device)
    return made.requires_grad_(trainable) if made.is_floating_point() else made
