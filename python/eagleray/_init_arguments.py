"""Validation of the arguments of `init()`: each acts, or raises by name."""

from __future__ import annotations

import math
from typing import Any

JOB_CONFIG_VARIABLE = (
    "RAY_JOB_CONFIG_JSON_ENV_VAR"  # of a job's program: what was submitted with it
)

_UNDERSCORE_ACTS = {
    "_memory",
    "_temp_dir",
    "_system_config",
    "_skip_env_hook",
    "_metrics_export_port",
    "_tracing_startup_hook",
    "_redis_username",  # what they wish, that nobody else connects, is so
    "_redis_password",
}
_LOOPBACK = ("127.0.0.1", "localhost")
_UNDERSCORE_LATER = {
    "_enable_object_reconstruction",
    "_plasma_directory",
    "_object_spilling_directory",
    "_node_ip_address",
    "_driver_object_store_memory",
    "_node_name",
}
_TYPES: dict[str, tuple[type, ...]] = {
    "address": (str,),
    "num_cpus": (int, float),
    "num_gpus": (int, float),
    "resources": (dict,),
    "labels": (dict,),
    "object_store_memory": (int, float),
    "logging_level": (int, str),
    "logging_format": (str,),
    "namespace": (str,),
    "runtime_env": (dict,),
    "_memory": (int, float),
    "_temp_dir": (str,),
    "_metrics_export_port": (int,),
    "_tracing_startup_hook": (str,),
}


def check(arguments: dict[str, Any], underscored: dict[str, Any]) -> None:
    """Raises RuntimeError for an unknown keyword, NotImplementedError for what cannot act yet, TypeError and
    ValueError for what cannot be meant."""
    for name in underscored:
        if name not in _UNDERSCORE_ACTS | _UNDERSCORE_LATER:
            raise RuntimeError(f"Unknown keyword argument(s): {name}")
    later = {name: underscored.get(name) for name in _UNDERSCORE_LATER}
    for name in ("enable_resource_isolation", "cgroup_path", "proxy_server_url"):
        later[name] = arguments[name]
    for name in ("system_reserved_cpu", "system_reserved_memory"):
        later[name] = arguments[name]
    for name, value in later.items():
        if value:
            raise NotImplementedError(f"init({name}=...)")
    for name, value in {**arguments, **underscored}.items():
        wanted = _TYPES.get(name)
        if (
            value is not None
            and wanted
            and (not isinstance(value, wanted) or isinstance(value, bool))
        ):
            raise TypeError(f"init({name}=...) must be {wanted}, not {value!r}")
    check_node({**arguments, **underscored})
    if arguments["runtime_env"]:
        from ._environments import fields

        fields.check(dict(arguments["runtime_env"]))
    if arguments["namespace"] is not None:
        arguments["namespace"].encode()  # UnicodeEncodeError where it cannot be a name
        if not arguments["namespace"]:
            raise ValueError('"" is not a valid namespace. Pass None to not specify a namespace.')


NO_DASHBOARD = (
    "there is no dashboard yet, and nothing listens for one; `eagleray status --watch` shows the cluster in a "
    "terminal"
)


def wants_dashboard(arguments: dict[str, Any]) -> bool:
    """Whether init() is asked for one, which there is not yet: a program computes the same without."""
    return (
        bool(arguments["include_dashboard"] or arguments["dashboard_port"])
        or arguments["dashboard_host"] not in _LOOPBACK
    )


def check_node(arguments: dict[str, Any]) -> None:
    """The part that says what a node offers."""
    for name in ("num_cpus", "num_gpus", "object_store_memory", "_memory"):
        _check_amount(name, arguments.get(name))
    for name, amount in (arguments["resources"] or {}).items():
        if not isinstance(name, str) or not isinstance(amount, (int, float)):
            raise TypeError(
                f"init(resources=...) maps names to amounts, not {name!r} to {amount!r}"
            )
        _check_amount(f"resources[{name!r}]", amount)
    for name, value in (arguments["labels"] or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"init(labels=...) maps strings to strings, not {name!r} to {value!r}")


def _check_amount(name: str, value: Any) -> None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise ValueError(f"init({name}=...) must be a finite number >= 0, not {value!r}")
