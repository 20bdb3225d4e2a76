"""Ray's `ray.experimental`, as far as it exists."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from .. import _planned

    return _planned.find("experimental", name)
