"""Pictures without a picture library."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from ..env.wrappers.atari_wrappers import area_weights

__all__ = ["imread", "is_package_installed", "resize", "rgb2gray"]


def is_package_installed(package_name: str) -> bool:
    """Whether `import package_name` would find something."""
    return importlib.util.find_spec(package_name) is not None


def resize(img: Any, height: int, width: int) -> Any:
    """[height, width, ...] of the same type; each pixel is the mean of those it stands for."""
    rows, columns = area_weights(img.shape[0], height), area_weights(img.shape[1], width)
    small = np.einsum("ai,ij...,bj->ab...", rows, img.astype(np.float32), columns)
    return np.rint(small).astype(img.dtype) if img.dtype.kind in "ui" else small.astype(img.dtype)


def rgb2gray(img: Any) -> Any:
    """Brightness of [..., 3] pictures, of the same type."""
    grey = img[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.rint(grey).astype(img.dtype) if img.dtype.kind in "ui" else grey


def imread(img_file: str) -> Any:
    """A picture's file as an array [height, width, 3] uint8. ImportError: it needs matplotlib."""
    from matplotlib import image

    picture = image.imread(img_file)
    if picture.dtype != np.uint8:
        picture = np.rint(picture * 255).astype(np.uint8)
    return picture[..., :3]
