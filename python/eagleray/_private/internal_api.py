"""`free` and `memory_summary`, as programs import them from Ray."""

from __future__ import annotations

from .. import _memory
from .._state_rows import Lookout
from ..internal import free

__all__ = ["free", "memory_summary"]


def memory_summary(
    address: str | None = None,
    group_by: str = "NODE_ADDRESS",
    sort_by: str = "OBJECT_SIZE",
    units: str = "B",
    line_wrap: bool = True,
    stats_only: bool = False,
    num_entries: int | None = None,
) -> str:
    """What `eagleray memory` prints of the cluster that this program is connected to, which has no other `address`."""
    rows = _memory.facts(Lookout(), not stats_only)
    return _memory.text_of(rows, group_by, sort_by, units, stats_only, num_entries)
