"""Packing columns of batches: text of pickled arrays, compressed with LZ4 where it is installed, as Ray does."""

from __future__ import annotations

import base64
import pickle
import zlib
from typing import Any

import numpy as np

__all__ = [
    "compression_supported",
    "is_compressed",
    "pack",
    "pack_if_needed",
    "unpack",
    "unpack_if_needed",
]


def _lz4() -> Any:
    try:
        import lz4.frame
    except ImportError:
        return None
    return lz4.frame


def compression_supported() -> bool:
    """True: without the package lz4 zlib is used, which Ray does not read."""
    return True


def pack(data: Any) -> str:
    """Text (base64) of pickled and compressed data."""
    raw, lz4 = pickle.dumps(data), _lz4()
    return base64.b64encode(lz4.compress(raw) if lz4 else zlib.compress(raw, 1)).decode("ascii")


def pack_if_needed(data: Any) -> Any:
    """pack() of an array; other things as they are."""
    return pack(data) if isinstance(data, np.ndarray) else data


def unpack(data: Any) -> Any:
    """The inverse of pack(). It is a pickle: only of data that you trust. ImportError: it needs the package lz4."""
    raw = base64.b64decode(data)
    if raw[:4] != b"\x04\x22\x4d\x18":  # how a frame of LZ4 begins
        return pickle.loads(zlib.decompress(raw))
    lz4 = _lz4()
    if lz4 is None:
        raise ImportError("this was packed with LZ4; unpacking it needs the package lz4")
    return pickle.loads(lz4.decompress(raw))


def is_compressed(data: Any) -> bool:
    """Whether it is what pack() gives."""
    return isinstance(data, bytes | str)


def unpack_if_needed(data: Any) -> Any:
    """unpack() of what pack() gave; other things as they are."""
    return unpack(data) if is_compressed(data) else data
