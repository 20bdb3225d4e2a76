"""One seed for everything that has random numbers of its own."""

from __future__ import annotations

import random

import numpy as np

__all__ = ["update_global_seed_if_necessary"]


def update_global_seed_if_necessary(framework: str | None = None, seed: int | None = None) -> None:
    """Seeds random, numpy and (framework="torch") PyTorch. None: nothing happens."""
    if seed is None:
        return
    random.seed(seed)
    np.random.seed(seed)
    if framework == "torch":
        from ..torch_utils import set_torch_seed

        set_torch_seed(seed)
