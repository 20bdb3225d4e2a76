"""`get_node_ip_address`, as packages import it from Ray."""

from __future__ import annotations

from ..util import get_node_ip_address

__all__ = ["get_node_ip_address"]
