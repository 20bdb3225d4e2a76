"""Ray Client as packages ask for it: there is none, every program is a driver of its own."""

from __future__ import annotations

from typing import Any

from ... import _planned


class _Ray:
    """`ray.util.client.ray`."""

    def is_connected(self) -> bool:
        """Whether this program speaks through the ray:// protocol: never."""
        return False

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(
            f"ray.util.client.ray.{name} is not implemented yet in eagleray (part of: the ray:// client)"
        )


ray = _Ray()


def num_connected_contexts() -> int:
    """How many connections of the ray:// protocol this program has: none."""
    return 0


__getattr__ = _planned.lazily(__name__)
