"""DAGContext: the defaults of compiled graphs in this process."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import Any


def _setting(name: str, default: Any, convert: Any) -> Any:
    """The default, or what RAY_CGRAPH_<name> says."""
    return field(default_factory=lambda: convert(os.environ.get(f"RAY_CGRAPH_{name}", default)))


def _bool(text: Any) -> bool:
    return str(text).lower() in ("1", "true")


@dataclass
class DAGContext:
    """Defaults of `experimental_compile()`; change them on `DAGContext.get_current()` or by the environment
    variables RAY_CGRAPH_<name> before they are first asked for. They follow Ray's.

    submit_timeout, get_timeout, teardown_timeout: seconds, of execute(), get() and teardown(); -1: no limit.
    read_iteration_timeout: accepted, and without effect: a reader here waits for one channel at a time.
    buffer_size_bytes: of each buffer of a channel at first; it grows with what is written.
    max_inflight_executions: beyond it execute() raises RayCgraphCapacityExceeded. max_buffered_results: results
    that wait in the driver for their get(). overlap_gpu_communication: not there (NotImplementedError).
    """

    submit_timeout: float = _setting("submit_timeout", 10, int)
    get_timeout: float = _setting("get_timeout", 10, int)
    teardown_timeout: float = _setting("teardown_timeout", 30, int)
    read_iteration_timeout: float = _setting("read_iteration_timeout_s", 0.1, float)
    buffer_size_bytes: int = _setting("buffer_size_bytes", 1_000_000, lambda text: int(float(text)))
    max_inflight_executions: int = _setting("max_inflight_executions", 10, int)
    max_buffered_results: int = _setting("max_buffered_results", 1000, int)
    overlap_gpu_communication: bool = _setting("overlap_gpu_communication", False, _bool)

    def __post_init__(self) -> None:
        if self.read_iteration_timeout > self.get_timeout:
            raise ValueError(
                f"RAY_CGRAPH_read_iteration_timeout_s ({self.read_iteration_timeout}) must be less than or equal "
                f"to RAY_CGRAPH_get_timeout ({self.get_timeout})"
            )

    @staticmethod
    def get_current() -> DAGContext:
        """The one of this process."""
        global _current
        with _lock:
            if _current is None:
                _current = DAGContext()
            return _current


_current: DAGContext | None = None
_lock = threading.Lock()
