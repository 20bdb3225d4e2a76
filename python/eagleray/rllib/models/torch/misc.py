"""Parts of nets: initialisers, activations, a layer with both, convolutions by table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from ...utils.lazy import lazily

__all__ = [
    "AppendBiasLayer",
    "Reshape",
    "SlimConv2d",
    "SlimFC",
    "activation",
    "conv_stack",
    "default_filters",
    "normc_initializer",
    "same_padding",
    "valid_padding",
]

_ACTIVATIONS = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "swish": nn.SiLU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "leakyrelu": nn.LeakyReLU,
}


def normc_initializer(std: float = 1.0) -> Callable[[Any], None]:
    """Gaussian weights whose rows (one an output) have the length `std`."""

    def initialize(weight: Any) -> None:
        with torch.no_grad():
            weight.normal_(0, 1)
            weight *= std / weight.square().sum(dim=1, keepdim=True).sqrt()

    return initialize


def activation(name: Any) -> Any:
    """The class of a module by its name in config["model"]; None for "linear". ValueError: unknown."""
    if name in (None, "linear"):
        return None
    if not isinstance(name, str):
        return name
    if name.lower() not in _ACTIVATIONS:
        raise ValueError(
            f"unknown activation {name!r}; there are linear, {', '.join(_ACTIVATIONS)}"
        )
    return _ACTIVATIONS[name.lower()]


def initializer(name: Any) -> Any:
    """A function that fills a weight in place: of torch.nn.init by its name, or `name` itself. ValueError: unknown."""
    if callable(name) or name is None:
        return name
    found = getattr(nn.init, f"{str(name).rstrip('_')}_", None)
    if found is None:
        raise ValueError(f"no initialiser {name!r} in torch.nn.init")
    return found


class SlimFC(nn.Module):
    """A linear layer with its initialiser (normc(1) by default), zero bias, layer norm if asked for, and an activation."""

    def __init__(
        self,
        in_size: int,
        out_size: int,
        initializer: Callable[[Any], Any] | None = None,
        activation_fn: Any = None,
        use_bias: bool = True,
        bias_init: float = 0.0,
        use_layernorm: bool = False,
    ) -> None:
        super().__init__()
        linear = nn.Linear(in_size, out_size, bias=use_bias)
        (initializer or normc_initializer(1.0))(linear.weight)
        if use_bias:
            nn.init.constant_(linear.bias, bias_init)
        # Ray's epsilon, which is TensorFlow's.
        norm = [nn.LayerNorm(out_size, eps=1e-3)] if use_layernorm else []
        made = activation(activation_fn)
        self._model = nn.Sequential(linear, *norm, *([made()] if made else []))

    @property
    def linear(self) -> Any:
        """The layer without its activation."""
        return self._model[0]

    def forward(self, x: Any) -> Any:
        return self._model(x)


class SlimConv2d(nn.Module):
    """A convolution with padding (left, right, top, bottom) or None, and an activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Any,
        stride: Any,
        padding: Any = None,
        activation_fn: Any = "relu",
    ) -> None:
        super().__init__()
        layers: list[Any] = [nn.ZeroPad2d(padding)] if padding else []
        conv = nn.Conv2d(in_channels, out_channels, kernel, stride)
        nn.init.xavier_uniform_(conv.weight)
        nn.init.zeros_(conv.bias)
        layers.append(conv)
        made = activation(activation_fn)
        self._model = nn.Sequential(*layers, *([made()] if made else []))

    def forward(self, x: Any) -> Any:
        return self._model(x)


def default_filters(shape: Sequence[int]) -> list[list[Any]]:
    """The convolutions for images of [height, width, channels]. ValueError where conv_filters must say."""
    known: dict[tuple[int, int], list[list[Any]]] = {
        (84, 84): [[16, [8, 8], 4], [32, [4, 4], 2], [256, [11, 11], 1]],
        (42, 42): [[16, [4, 4], 2], [32, [4, 4], 2], [256, [11, 11], 1]],
        (96, 96): [[16, [8, 8], 4], [32, [4, 4], 2], [256, [11, 11], 2]],
        (64, 64): [[16, [4, 4], 2], [32, [4, 4], 2], [64, [4, 4], 2], [128, [4, 4], 2]],
        (10, 10): [[16, [5, 5], 2], [32, [5, 5], 2]],
    }
    size = (int(shape[0]), int(shape[1]))
    if size not in known:
        raise ValueError(
            f"no default convolutions for images of {size[0]}x{size[1]}; set config['model']['conv_filters'] to "
            "[[channels, [kernel, kernel], stride], ...]"
        )
    return known[size]


def conv_stack(shape: Sequence[int], filters: Sequence[Any], activation_fn: Any) -> tuple[Any, int]:
    """Convolutions over [n, height, width, channels] images, padded to keep size/stride but for the last, and the
    number of features that come out, flattened."""
    layers: list[Any] = []
    height, width, channels = (int(size) for size in shape)
    for index, (out, kernel, stride) in enumerate(filters):
        kernel = kernel if isinstance(kernel, list | tuple) else (kernel, kernel)
        stride = stride if isinstance(stride, list | tuple) else (stride, stride)
        last = index == len(filters) - 1
        padding = (
            None
            if last
            else (*_same(width, kernel[1], stride[1]), *_same(height, kernel[0], stride[0]))
        )
        layers.append(
            SlimConv2d(channels, out, tuple(kernel), tuple(stride), padding, activation_fn)
        )
        height, width = (
            (size - k) // s + 1 if last else -(-size // s)
            for size, k, s in ((height, kernel[0], stride[0]), (width, kernel[1], stride[1]))
        )
        channels = out
    if height < 1 or width < 1:
        raise ValueError(f"conv_filters {filters} leave nothing of an image of {tuple(shape)}")
    return nn.Sequential(*layers, nn.Flatten()), height * width * channels


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class AppendBiasLayer(nn.Module):
    """[n, k] to [n, k + num_bias_vars]: free parameters, the same in each row."""

    def __init__(self, num_bias_vars: int) -> None:
        super().__init__()
        self.log_std = nn.Parameter(torch.zeros(num_bias_vars))

    def forward(self, x: Any) -> Any:
        return torch.cat([x, self.log_std.expand(len(x), -1)], dim=1)


class Reshape(nn.Module):
    """Its input in another shape."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Any) -> Any:
        return x.view(*self.shape)


def same_padding(in_size: Any, filter_size: Any, stride_size: Any) -> tuple[Any, Any]:
    """((left, right, top, bottom), (height, width)): the padding that keeps size / stride, and the size then."""
    kernel, stride = _pair(filter_size), _pair(stride_size)
    (height, width), out = (
        in_size,
        tuple(-(-size // step) for size, step in zip(in_size, stride, strict=True)),
    )
    left, right = _same(width, kernel[1], stride[1])
    top, bottom = _same(height, kernel[0], stride[0])
    return (left, right, top, bottom), out


def valid_padding(in_size: Any, filter_size: Any, stride_size: Any) -> tuple[int, int]:
    """(height, width) after a convolution without padding."""
    kernel, stride = _pair(filter_size), _pair(stride_size)
    height, width = (
        -(-(size - k + 1) // s) for size, k, s in zip(in_size, kernel, stride, strict=True)
    )
    return height, width


def _pair(size: Any) -> tuple[int, int]:
    return tuple(size) if isinstance(size, list | tuple) else (size, size)


__getattr__ = lazily(__name__)  # names that are planned
