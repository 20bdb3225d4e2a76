"""Starts eagleray for a program that has not done so itself."""

from __future__ import annotations

import logging
import math
import os
from typing import Any

import eagleray as ray

from .placement_groups import PlacementGroupFactory

_logger = logging.getLogger("eagleray.tune")


def init_for(resources: PlacementGroupFactory | None) -> None:
    """`init()`, if that has not been done: with as many logical CPUs as one trial asks for, where the machine has
    fewer. A program that calls init() itself gets what it asked for."""
    if ray.is_initialized():
        return
    options: dict[str, Any] = {}
    address = os.environ.get("EAGLERAY_ADDRESS") or os.environ.get("RAY_ADDRESS")
    needed = math.ceil(resources.required_resources.get("CPU", 0)) if resources else 0
    cores = len(os.sched_getaffinity(0))
    if needed > cores and not address:
        options["num_cpus"] = needed
        _logger.warning(
            "a trial asks for %d CPUs and this machine has %d: eagleray starts with %d logical CPUs, so that one trial "
            "can run. init(num_cpus=...) before tune.run() says otherwise",
            needed,
            cores,
            needed,
        )
    ray.init(**options)
