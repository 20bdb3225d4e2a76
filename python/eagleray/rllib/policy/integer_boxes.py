"""Box action spaces of integers: each number is chosen among those between its bounds, as by a MultiDiscrete space.

Ray's older policies do the same, but count from 0 whatever the lower bound is; its newer ones refuse them."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

__all__ = ["IntegerBox", "as_choices"]

VALUES_MAX = 1 << 16  # of all numbers together: outputs of a net


class IntegerBox(spaces.MultiDiscrete):
    """The choices that a Box of integers leaves. ValueError: too many, as without bounds."""

    def __init__(self, box: spaces.Box) -> None:
        low = box.low.astype(object)
        counts = box.high.astype(object) - low + 1
        if np.sum(counts) > VALUES_MAX:
            raise ValueError(
                f"the action space {box} leaves {np.sum(counts)} values to choose from, more than {VALUES_MAX}: give it "
                "narrower bounds, or make it one of floats"
            )
        super().__init__(counts.astype(np.int64), start=low.astype(np.int64))
        self.action_dtype = box.dtype  # of what the environment takes


def as_choices(space: Any) -> Any:
    """The space with an IntegerBox in the place of each Box of integers."""
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.integer):
        return IntegerBox(space)
    if isinstance(space, spaces.Dict):
        return spaces.Dict({key: as_choices(part) for key, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple([as_choices(part) for part in space.spaces])
    return space
