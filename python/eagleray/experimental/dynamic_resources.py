"""Resources that change while a cluster runs: Ray has removed them, and so they are not here."""

from __future__ import annotations

from typing import Any


def set_resource(resource_name: str, capacity: float, node_id: Any = None) -> None:
    """Raises DeprecationWarning, as Ray does."""
    raise DeprecationWarning(
        "Dynamic custom resources are deprecated. Consider using placement groups instead. You can also specify "
        "resources when the cluster starts, with `init(resources=...)` or `eagleray start --resources`."
    )
