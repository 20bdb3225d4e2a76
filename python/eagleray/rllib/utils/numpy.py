"""Functions of nets in numpy: to check models against, or to act without a framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .trees import leaves_of, map_tree

__all__ = [
    "LARGE_INTEGER",
    "MAX_LOG_NN_OUTPUT",
    "MIN_LOG_NN_OUTPUT",
    "SMALL_NUMBER",
    "aligned_array",
    "concat_aligned",
    "convert_to_numpy",
    "fc",
    "flatten_inputs_to_1d_tensor",
    "huber_loss",
    "l2_loss",
    "lstm",
    "make_action_immutable",
    "one_hot",
    "one_hot_multidiscrete",
    "relu",
    "sigmoid",
    "softmax",
]

SMALL_NUMBER = 1e-6
LARGE_INTEGER = 100000000
# Bounds of logarithms of deviations that nets put out.
MIN_LOG_NN_OUTPUT = -5
MAX_LOG_NN_OUTPUT = 2


def convert_to_numpy(x: Any, reduce_type: bool = True) -> Any:
    """Tensors in a nested structure as arrays. reduce_type: 64 bits become 32."""

    def one(value: Any) -> Any:
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
        if not isinstance(value, np.ndarray | np.generic):
            return value
        array = np.asarray(value)
        if reduce_type and array.dtype in (np.float64, np.int64):
            return array.astype(np.float32 if array.dtype == np.float64 else np.int32)
        return array

    return map_tree(one, x)


def aligned_array(size: int, dtype: Any, align: int = 64) -> Any:
    """An array of `size` elements that begins at a multiple of `align` bytes."""
    count = size * np.dtype(dtype).itemsize
    raw = np.empty(count + align - 1, np.uint8)
    start = -raw.ctypes.data % align
    return raw[start : start + count].view(dtype)


def concat_aligned(items: Sequence[Any], time_major: bool | None = None) -> Any:
    """np.concatenate (along axis 1 if time_major), numbers into aligned memory."""
    if not items:
        return []
    if len(items) == 1:
        return items[0]
    first, axis = items[0], 1 if time_major else 0
    if not isinstance(first, np.ndarray) or first.dtype not in (np.float32, np.float64, np.uint8):
        return np.concatenate(items, axis=axis)
    shape = list(first.shape)
    shape[axis] = sum(item.shape[axis] for item in items)
    out = aligned_array(int(np.prod(shape)), first.dtype).reshape(shape)
    return np.concatenate(items, axis=axis, out=out)


def _array(x: Any) -> Any:
    return x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)


def _weights(weights: Any, framework: str | None) -> Any:
    """[in, out]: PyTorch has them the other way round."""
    turned = framework == "torch" or hasattr(weights, "detach")
    return _array(weights).T if turned else _array(weights)


def fc(x: Any, weights: Any, biases: Any = None, framework: str | None = None) -> Any:
    """A linear layer. weights: [in, out], or [out, in] of PyTorch's (framework="torch", or a tensor)."""
    return _array(x) @ _weights(weights, framework) + (0.0 if biases is None else _array(biases))


def lstm(
    x: Any,
    weights: Any,
    biases: Any = None,
    initial_internal_states: Any = None,
    time_major: bool = False,
    forget_bias: float = 1.0,
) -> tuple[Any, tuple[Any, Any]]:
    """An LSTM over x [batch, time, in] (time_major: [time, batch, in]); (outputs, (c, h)).

    weights: [in + units, 4 * units] in the order input, new, forget, output.
    """
    units = weights.shape[1] // 4
    rows = x.shape[1 if time_major else 0]
    if initial_internal_states is None:
        c, h = np.zeros((rows, units)), np.zeros((rows, units))
    else:
        c, h = initial_internal_states[0], initial_internal_states[1]
    biases = np.zeros(4 * units) if biases is None else biases
    out = []
    for at in range(x.shape[0 if time_major else 1]):
        step = x[at] if time_major else x[:, at]
        inner = np.concatenate((step, h), axis=1) @ weights + biases
        i, new, f, o = np.split(inner, 4, axis=1)
        c = c * sigmoid(f + forget_bias) + sigmoid(i) * np.tanh(new)
        h = np.tanh(c) * sigmoid(o)
        out.append(h)
    return np.stack(out, axis=0 if time_major else 1), (c, h)


def flatten_inputs_to_1d_tensor(
    inputs: Any, spaces_struct: Any = None, time_axis: bool = False, batch_axis: bool = True
) -> Any:
    """All parts of a nested structure beside each other, [batch, (time,) size] float32; Discrete and MultiDiscrete
    parts of `spaces_struct` become one-hot."""
    lead = int(batch_axis) + int(time_axis)
    parts = leaves_of(inputs)
    spaces = leaves_of(spaces_struct) if spaces_struct is not None else [None] * len(parts)
    flat = []
    for part, space in zip(parts, spaces, strict=True):
        value = _array(part)
        if hasattr(space, "nvec"):
            value = one_hot_multidiscrete(value, list(np.ravel(space.nvec)))
        elif hasattr(space, "n") and type(space).__name__ == "Discrete":
            value = one_hot(value, int(space.n))
        flat.append(np.reshape(value, (*value.shape[:lead], -1)).astype(np.float32))
    return np.concatenate(flat, axis=-1)


def make_action_immutable(obj: Any) -> Any:
    """Actions that nobody can change any more: arrays read-only; dicts as read-only views."""
    from types import MappingProxyType

    if isinstance(obj, np.ndarray):
        obj.setflags(write=False)
        return obj
    if isinstance(obj, dict):
        return MappingProxyType({key: make_action_immutable(value) for key, value in obj.items()})
    if isinstance(obj, list | tuple):
        return tuple(make_action_immutable(value) for value in obj)
    return obj


def huber_loss(x: Any, delta: float = 1.0) -> Any:
    """x**2 / 2 up to |x| = delta, linear beyond."""
    size = np.abs(x)
    return np.where(size < delta, np.square(x) * 0.5, delta * (size - 0.5 * delta))


def l2_loss(x: Any) -> Any:
    """Half of the sum of squares."""
    return np.sum(np.square(_array(x))) / 2.0


def one_hot(
    x: Any, depth: int = 0, on_value: float = 1.0, off_value: float = 0.0, dtype: Any = np.float32
) -> Any:
    """[..., depth] of integers. depth 0: as many as the greatest needs."""
    values = np.asarray(_array(x)).astype(np.int64)
    depth = depth or int(values.max()) + 1
    if values.size and (values.min() < 0 or values.max() >= depth):
        raise ValueError(f"one_hot: a value is not in 0 to {depth - 1}")
    hot = np.arange(depth) == values[..., None]
    return np.where(hot, on_value, off_value).astype(dtype)


def one_hot_multidiscrete(x: Any, depths: Sequence[int]) -> Any:
    """The one-hot parts of [batch, parts] (or [parts]) integers beside each other."""
    values = _array(x)
    return np.concatenate([one_hot(values[..., i], int(n)) for i, n in enumerate(depths)], axis=-1)


def relu(x: Any, alpha: float = 0.0) -> Any:
    """max(x, alpha * x)."""
    return np.maximum(x, np.asarray(x) * alpha)


def sigmoid(x: Any, derivative: bool = False) -> Any:
    """1 / (1 + exp(-x)), or x * (1 - x): its derivative where x is already its value."""
    return x * (1 - x) if derivative else 1.0 / (1.0 + np.exp(-np.asarray(x)))


def softmax(x: Any, axis: int = -1, epsilon: float | None = None) -> Any:
    """exp(x) / sum(exp(x)), at least `epsilon` (1e-6) each."""
    x = np.asarray(x)
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    floor = SMALL_NUMBER if epsilon is None else epsilon
    return np.maximum(powers / powers.sum(axis=axis, keepdims=True), floor)
