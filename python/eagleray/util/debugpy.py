"""debugpy in workers, for editors: `ray.util.ray_debugpy.set_trace()`, or `breakpoint()` with RAY_DEBUG=1."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
from types import FrameType
from typing import Any

from .._state import state

logger = logging.getLogger(__name__)
_lock = threading.Lock()
_address: tuple[str, int] | None = None


def _try_import_debugpy() -> Any:
    """The module, or None, which is said in the log."""
    try:
        return importlib.import_module("debugpy")
    except ImportError:
        logger.error(
            "ray.util.ray_debugpy needs the module debugpy: pip install debugpy. Without it breakpoint() and "
            "`eagleray debug` are there."
        )
        return None


def set_trace(breakpoint_uuid: Any = None) -> None:
    """Stops here, when an editor has attached to the port of the loopback device that it says on standard error.

    Whoever of this machine's users connects to that port first controls the process: on a machine that you share,
    use breakpoint() and `eagleray debug`. Does nothing but an error in the log without debugpy.
    """
    stop(sys._getframe().f_back)


def stop(frame: FrameType | None) -> None:
    """As set_trace(), at `frame`."""
    global _address
    debugpy = _try_import_debugpy()
    if debugpy is None:
        return
    with _lock:
        if _address is None:
            _address = debugpy.listen(("127.0.0.1", 0))
    where = f"in process {os.getpid()}" if state.is_worker else "in the driver"
    print(f"debugpy waits on {_address[0]}:{_address[1]} {where}", file=sys.stderr, flush=True)
    debugpy.wait_for_client()
    pydevd = importlib.import_module("pydevd")
    pydevd.settrace(stop_at_frame=frame, suspend=True, trace_only_current_thread=True)
