"""Where the runtime and its optional utilities meet: tracing, metrics and the debugger, each imported only when it is
used."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from ._state import state

DELIVERY_S = 10.0  # usually a millisecond
HOOK_FILE = "tracing-hook"  # in the session directory of a cluster whose programs are all traced


def job_facts(session_dir: str, tracing_hook: str | None) -> dict[str, Any]:
    """What a driver tells its workers."""
    hook = tracing_hook
    if hook is None:
        try:
            with open(os.path.join(session_dir, HOOK_FILE)) as file:
                hook = file.read()
        except OSError:
            pass
    post_mortem = os.environ.get("RAY_DEBUG_POST_MORTEM") == "1"
    return {"tracing": hook, "post_mortem": post_mortem}


def check_hook(hook: str | None) -> None:
    """Before anything is started. ValueError and ImportError for a hook that cannot be."""
    if hook is not None:
        from . import _tracing

        _tracing.load_hook(hook)


def start_in_driver(facts: dict[str, Any], metrics_port: int | None) -> None:
    """After the connection is made."""
    if facts["tracing"]:
        from . import _tracing

        _tracing.start(facts["tracing"])
    if metrics_port is not None:
        serve_metrics(metrics_port)


def serve_metrics(port: int) -> str:
    """HOST:PORT of the cluster's metrics, now that they are served."""
    import eagleray as ray

    from .util._metrics_server import server

    address: str = ray.get(server(port).address.remote())
    if state.context is not None:
        state.context.address_info["metrics_export_port"] = int(address.rsplit(":", 1)[1])
    return address


def start_in_worker(config: dict[str, Any]) -> None:
    """Before the first user code. breakpoint() waits for `eagleray debug`; a task that fails, too, if the driver's
    environment says so."""

    def stop(*args: Any, **kwargs: Any) -> Any:
        from .util import rpdb

        return rpdb.breakpoint_hook(sys._getframe(1), *args, **kwargs)

    sys.breakpointhook = stop
    if config.get("post_mortem"):
        os.environ.setdefault("RAY_DEBUG_POST_MORTEM", "1")
    if config.get("tracing"):
        from . import _tracing

        _tracing.start(config["tracing"])


def look_at(error: BaseException) -> None:
    """An exception of a task: a debugger may be wanted."""
    if os.environ.get("RAY_DEBUG_POST_MORTEM") == "1":
        from .util import rpdb

        rpdb.look_at(error)


def finish(cluster_ends: bool = False) -> None:
    """Before the connection ends: metrics and spans that are still here go out. cluster_ends: nobody will read
    metrics, or there may be nobody to take them."""
    recorder = sys.modules.get("eagleray.util._metrics_recorder")
    if recorder is not None and not cluster_ends:
        _deliver(recorder.recorder)
    if state.tracing:
        from . import _tracing

        _tracing.finish()
        state.tracing = False


def _deliver(recorder: Any) -> None:
    """Waits a moment until what was recorded has arrived: this process ends."""
    import eagleray as ray

    sent = recorder.flush()
    if sent is not None:
        with contextlib.suppress(ConnectionError, ray.exceptions.RayError):
            ray.wait([sent], timeout=DELIVERY_S)
