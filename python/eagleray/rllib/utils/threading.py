"""Methods that one thread may be in at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["with_lock"]


def with_lock(func: Callable[..., Any]) -> Callable[..., Any]:
    """Of a method: it holds `self._lock` while it runs. AttributeError: the object has none."""

    @functools.wraps(func)
    def locked(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return func(self, *args, **kwargs)

    return locked
