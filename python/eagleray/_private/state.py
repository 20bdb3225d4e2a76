"""What a cluster has, as packages ask Ray's inside for it."""

from __future__ import annotations

from .._api import available_resources, cluster_resources, nodes, timeline

__all__ = ["available_resources", "cluster_resources", "nodes", "timeline"]
