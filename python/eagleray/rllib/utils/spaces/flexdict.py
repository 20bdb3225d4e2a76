"""FlexDict: a Dict space whose parts may be set one after the other."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces

__all__ = ["FlexDict"]


class FlexDict(spaces.Dict):
    """space["part"] = Box(...) adds one."""

    def __init__(self, spaces: Any = None, **spaces_kwargs: Any) -> None:
        super().__init__({**dict(spaces or {}), **spaces_kwargs})

    def __setitem__(self, key: str, space: Any) -> None:
        self.spaces[key] = space

    def __getitem__(self, key: str) -> Any:
        return self.spaces[key]
