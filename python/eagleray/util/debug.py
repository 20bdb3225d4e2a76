"""Saying things once: log_once() and its switches, under Ray's path."""

from __future__ import annotations

import time

__all__ = ["disable_log_once_globally", "enable_periodic_logging", "log_once", "reset_log_once"]
PERIOD_S = 60.0

_said: dict[str, float] = {}  # key: when
_disabled = False
_periodic = False


def log_once(key: str) -> bool:
    """True the first time it is called with `key` in this process; with enable_periodic_logging() also when a
    minute has passed since the last time."""
    if _disabled:
        return False
    now = time.monotonic()
    last = _said.get(key)
    if last is not None and not (_periodic and now - last > PERIOD_S):
        return False
    _said[key] = now
    return True


def disable_log_once_globally() -> None:
    """From here on log_once() is always False in this process."""
    global _disabled
    _disabled = True


def enable_periodic_logging() -> None:
    """From here on log_once() is True once a minute for each key, unless it is disabled."""
    global _periodic
    _periodic = True


def reset_log_once(key: str | None = None) -> None:
    """log_once(key) is True again; without a key, for all keys."""
    if key is None:
        _said.clear()
    else:
        _said.pop(key, None)
