"""Where objects lie."""

from __future__ import annotations

from typing import Any

from .._state import state


def get_object_locations(obj_refs: list[Any], timeout_ms: int = -1) -> dict[Any, dict[str, Any]]:
    """For each reference a dict of node_ids (hex, of the nodes that have a copy in their store; none for values
    that travel inline, up to 100 KiB), object_size (bytes; None while it is not there) and did_spill. What this
    process does not know of a borrowed object, it asks the owner.

    timeout_ms: -1 is no limit; GetTimeoutError when it passes. RuntimeError when not connected. As Ray's.
    """
    from .. import exceptions

    core = _core()
    refs = list(obj_refs)
    waits = [ref for ref in refs if not _is_own(ref) and core.object_location(ref)[0] == "pending"]
    if waits:
        limit = None if timeout_ms < 0 else timeout_ms / 1000
        ready, _ = core.wait(waits, len(waits), limit, False)
        if len(ready) < len(waits):
            raise exceptions.GetTimeoutError(
                f"get_object_locations() knew nothing of {len(waits) - len(ready)} object(s) after {timeout_ms} ms."
            )
    return get_local_object_locations(refs)


def get_local_object_locations(obj_refs: list[Any]) -> dict[Any, dict[str, Any]]:
    """As get_object_locations(), of what this process knows, without asking anybody."""
    core = _core()
    return {ref: _described(*core.object_location(ref)) for ref in obj_refs}


def _is_own(ref: Any) -> bool:
    return bool(ref.owner() == _core().info()["proc"])


def _core() -> Any:
    if state.client is None:
        raise RuntimeError("Ray hasn't been initialized.")
    return state.client


def _described(kind: str, node: str, size: int) -> dict[str, Any]:
    return {
        "node_ids": [node] if kind == "stored" else [],
        "object_size": None if kind == "pending" else size,
        "did_spill": False,
    }
