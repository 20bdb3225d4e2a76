"""Activations, initialisers and convolutions by name."""

from __future__ import annotations

from typing import Any

__all__ = ["get_activation_fn", "get_filter_config", "get_initializer", "get_initializer_fn"]


def get_activation_fn(name: Any = None, framework: str = "torch") -> Any:
    """The class of a module of PyTorch; None for "linear"."""
    from ..utils.framework import get_activation_fn as found

    return found(name, framework)


def get_filter_config(shape: Any) -> list[list[Any]]:
    """The default convolutions for images of [height, width, channels]. ValueError: there are none."""
    from .torch.misc import default_filters

    return default_filters(shape)


def get_initializer_fn(name: Any, framework: str = "torch") -> Any:
    """A function of torch.nn.init by its name ("xavier_uniform"...), or `name` itself if it is callable."""
    from .torch.misc import initializer

    return initializer(name)


get_initializer = get_initializer_fn
