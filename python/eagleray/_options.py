"""Validation of the options of tasks, actors and methods, once for decorators, `.options()` and
`._remote()`. Names, defaults and messages follow Ray 2.x (docs/user/compatibility.md)."""

from __future__ import annotations

import math
import re
from typing import Any

from ._state import state

RESOURCE_UNIT = 10_000  # ten-thousandths, as in src/base/resources.h

_COMMON = {
    "num_cpus",
    "num_gpus",
    "resources",
    "memory",
    "accelerator_type",
    "label_selector",
    "fallback_strategy",
    "object_store_memory",
    "runtime_env",
    "name",
    "enable_task_events",
    "_labels",
    "scheduling_strategy",
    "placement_group",
    "placement_group_bundle_index",
    "placement_group_capture_child_tasks",
}
_TASK = _COMMON | {
    "num_returns",
    "max_calls",
    "max_retries",
    "retry_exceptions",
    "_generator_backpressure_num_objects",
}
_ACTOR = _COMMON | {
    "max_restarts",
    "max_task_retries",
    "max_pending_calls",
    "max_concurrency",
    "concurrency_groups",
    "lifetime",
    "namespace",
    "get_if_exists",
    "allow_out_of_order_execution",
    "enable_tensor_transport",
}
_METHOD = {
    "num_returns",
    "max_task_retries",
    "retry_exceptions",
    "concurrency_group",
    "name",
    "enable_task_events",
    "tensor_transport",
    "_generator_backpressure_num_objects",
}
_TYPES: dict[str, tuple[type, ...]] = {
    "resources": (dict,),
    "accelerator_type": (str,),
    "label_selector": (dict,),
    "fallback_strategy": (list,),
    "runtime_env": (dict,),
    "name": (str,),
    "namespace": (str,),
    "enable_task_events": (bool,),
    "_labels": (dict,),
    "placement_group_bundle_index": (int,),
    "placement_group_capture_child_tasks": (bool,),
    "retry_exceptions": (bool, list, tuple),
    "concurrency_groups": (dict, list),
    "concurrency_group": (str,),
    "lifetime": (str,),
    "get_if_exists": (bool,),
    "allow_out_of_order_execution": (bool,),
    "num_returns": (int, str),
}
_NOT_IN_OPTIONS = {"task": {"max_calls"}, "actor": {"concurrency_groups"}}


def _need(condition: bool, message: str, error: type[Exception] = ValueError) -> None:
    if not condition:
        raise error(message)


def _amount(name: str, value: Any) -> None:
    _need(
        isinstance(value, (int, float)) and not isinstance(value, bool),
        f"The type of keyword '{name}' must be (<class 'int'>, <class 'float'>, <class 'NoneType'>), but received "
        f"type {type(value)}",
        TypeError,
    )
    _need(
        math.isfinite(value) and value >= 0, f"The quantity of resource {name} cannot be negative"
    )
    scaled = value * RESOURCE_UNIT
    _need(
        abs(scaled - round(scaled)) < 1e-6,
        f"The precision of the fractional quantity of resource {name} cannot go beyond 0.0001",
    )


def _check_type(name: str, value: Any) -> None:
    wanted = _TYPES.get(name)
    _need(
        wanted is None or isinstance(value, wanted),
        f"The type of keyword '{name}' must be {(*(wanted or ()), type(None))}, but received type {type(value)}",
        TypeError,
    )


# A label's value, with what may stand around it: v, !v, in(a,b), !in(a,b).
_LABEL_VALUE = r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
_SELECTOR = re.compile(
    rf"!?({_LABEL_VALUE}|in\({_LABEL_VALUE}( *, *{_LABEL_VALUE})*\))|!?exists\(\)|"
)


def _check_selector(name: str, value: dict[Any, Any]) -> None:
    for key, wanted in value.items():
        if not isinstance(key, str) or not isinstance(wanted, str):
            raise TypeError(f"{name} must be Dict[str, str], not {{{key!r}: {wanted!r}}}")
        _need(
            _SELECTOR.fullmatch(wanted) is not None,
            f"Invalid label selector value `{wanted}`. It is a label's value, `!value`, `in(a,b)` or `!in(a,b)`.",
        )


def _check_place(name: str, value: Any) -> None:
    from .util.placement_group import PlacementGroup
    from .util.scheduling_strategies import STRATEGIES

    if name == "placement_group":
        _need(
            value == "default" or isinstance(value, PlacementGroup),
            f"The type of keyword 'placement_group' must be PlacementGroup, but received type {type(value)}",
            TypeError,
        )
        return
    if isinstance(value, str):
        _need(
            value in ("DEFAULT", "SPREAD"),
            f"Invalid scheduling_strategy {value!r}: 'DEFAULT', 'SPREAD' or an object of "
            "ray.util.scheduling_strategies.",
        )
        return
    _need(
        isinstance(value, STRATEGIES),
        f"The type of keyword 'scheduling_strategy' must be {(str, *STRATEGIES)}, but received type {type(value)}",
        TypeError,
    )


def _integer(name: str, value: Any, low: int, note: str) -> None:
    _need(
        isinstance(value, int) and not isinstance(value, bool),
        f"The type of keyword '{name}' must be <class 'int'>, but received type {type(value)}",
        TypeError,
    )
    _need(value >= low, f"The keyword '{name}' only accepts {note}")


def validate(kind: str, options: dict[str, Any], *, in_options: bool = False) -> None:
    """Raises ValueError or TypeError for the first option that is unknown or out of range.

    kind: "task", "actor" or "method". in_options: called by `.options()`, where some are refused.
    """
    known = {"task": _TASK, "actor": _ACTOR, "method": _METHOD}[kind]
    for name, value in options.items():
        _need(
            name in known,
            f"Invalid option keyword {name} for {kind}s. Valid ones are {sorted(known)}.",
        )
        _need(
            not (in_options and name in _NOT_IN_OPTIONS.get(kind, ())),
            f"Setting '{name}' is not supported in '.options()'.",
        )
        if value is None:
            continue
        _check_type(name, value)
        if name in ("num_cpus", "num_gpus", "memory", "object_store_memory"):
            _amount(name, value)
            if name == "object_store_memory" and kind == "task":
                raise NotImplementedError(
                    "Setting 'object_store_memory' is not implemented for tasks"
                )
        elif name == "resources":
            for key, amount in value.items():
                _need(isinstance(key, str), "The names of resources must be strings", TypeError)
                _need(
                    key not in ("CPU", "GPU"),
                    "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU' and 'GPU' in 'resources' keyword",
                )
                _amount(key, amount)
        elif name == "num_returns":
            if isinstance(value, str):
                _need(
                    value in ("dynamic", "streaming"),
                    "The keyword 'num_returns' only accepts None, a non-negative integer, \"streaming\" (for "
                    'generators), or "dynamic"',
                )
            else:
                _integer(name, value, 0, 'None, a non-negative integer, "streaming" or "dynamic"')
        elif name in ("max_retries", "max_restarts", "max_task_retries", "max_pending_calls"):
            _integer(name, value, -1, "an integer >= -1, -1 is for no limit")
        elif name == "max_calls":
            _integer(name, value, 0, "0 or a positive integer")
        elif name == "max_concurrency":
            _integer(name, value, 1, "a positive integer")
        elif name == "_generator_backpressure_num_objects":
            _integer(name, value, -1, "a positive integer or -1")
            _need(value != 0, f"{name}=0 is not allowed: use a value > 0, or -1 for no limit.")
        elif name == "retry_exceptions":
            _need(
                isinstance(value, bool)
                or all(isinstance(x, type) and issubclass(x, BaseException) for x in value),
                "retry_exceptions must be either a boolean or a list of exceptions",
            )
        elif name == "name" or name == "namespace":
            value.encode()  # UnicodeEncodeError, a ValueError, where it cannot be a name
            _need(value != "" or kind != "actor", f'"" is not a valid {name}.')
        elif name in ("scheduling_strategy", "placement_group"):
            _check_place(name, value)
        elif name == "label_selector":
            _check_selector(name, value)
        elif name == "concurrency_groups":
            _check_groups(value)
        elif name == "lifetime":
            _need(
                value in ("detached", "non_detached"),
                "actor `lifetime` argument must be one of 'detached', 'non_detached' and 'None'.",
            )
        elif name == "enable_tensor_transport" and value:
            raise NotImplementedError("enable_tensor_transport (direct transport of GPU tensors)")
        elif name == "tensor_transport" and value:
            raise NotImplementedError("tensor_transport (direct transport of GPU tensors)")
    if options.get("get_if_exists"):
        _need(bool(options.get("name")), "The actor name must be specified to use `get_if_exists`.")


def _check_groups(value: Any) -> None:
    for group in value:
        of_dict = isinstance(value, dict)
        _need(
            of_dict or (isinstance(group, dict) and {"name", "max_concurrency"} <= set(group)),
            "A concurrency group of a list is {'name': ..., 'max_concurrency': ...}.",
        )
        name, size = (group, value[group]) if of_dict else (group["name"], group["max_concurrency"])
        _need(isinstance(name, str), "The name of a concurrency group must be a string", TypeError)
        _integer(f"max_concurrency of {name}", size, 1, "a positive integer")


def resources_of(options: dict[str, Any], default_cpus: float) -> dict[str, int]:
    """Resource names to ten-thousandths, without zeros."""
    amounts: dict[str, float] = dict(options.get("resources") or {})
    cpus = options.get("num_cpus")
    amounts["CPU"] = default_cpus if cpus is None else cpus
    amounts["GPU"] = options.get("num_gpus") or 0
    amounts["memory"] = options.get("memory") or 0
    if options.get("accelerator_type"):
        amounts[f"accelerator_type:{options['accelerator_type']}"] = 0.001
    return {name: round(amount * RESOURCE_UNIT) for name, amount in amounts.items() if amount}


def _in_group(group: Any, index: Any, capture: bool) -> tuple[Any, ...]:
    index = -1 if index is None else index
    _need(
        isinstance(index, int) and not isinstance(index, bool),
        f"placement_group_bundle_index must be an int, but received type {type(index)}",
        TypeError,
    )
    count = group.bundle_count
    _need(
        -1 <= index < count,
        f"placement group bundle index {index} is invalid. Valid placement group indexes: 0-{count}",
    )
    return ("group", group.id.hex(), index, capture)


def strategy_of(options: dict[str, Any]) -> tuple[Any, ...]:
    """The core's form of `scheduling_strategy` and of the older `placement_group*` options."""
    strategy = options.get("scheduling_strategy")
    group = options.get("placement_group", "default")
    if group is not None and group != "default":
        _need(
            strategy is None,
            "Placement groups should be specified via the scheduling_strategy option. The placement_group option is "
            "deprecated.",
        )
        return _in_group(
            group,
            options.get("placement_group_bundle_index"),
            bool(options.get("placement_group_capture_child_tasks")),
        )
    if strategy is None and group == "default" and state.captured:
        return ("group", state.captured, -1, True)
    if strategy is None or strategy == "DEFAULT":
        selector = options.get("label_selector")
        return ("labels", dict(selector)) if selector else ("default",)
    if strategy == "SPREAD":
        return ("spread",)
    kind = type(strategy).__name__
    if kind == "PlacementGroupSchedulingStrategy":
        capture = strategy.placement_group_capture_child_tasks
        return _in_group(
            strategy.placement_group,
            strategy.placement_group_bundle_index,
            bool(state.captured) if capture is None else bool(capture),
        )
    if kind == "NodeAffinitySchedulingStrategy":
        return ("node", strategy.node_id, bool(strategy.soft))
    if kind == "NodeLabelSchedulingStrategy":
        return ("labels", strategy.as_selector())
    raise TypeError(f"Unsupported scheduling_strategy: {strategy!r}")


def returns_of(options: dict[str, Any], is_generator: bool) -> int:
    """num_returns as the core counts: -1 streaming, -2 dynamic."""
    value = options.get("num_returns")
    if value is None:
        return -1 if is_generator else 1
    if value == "streaming":
        return -1
    if value == "dynamic":
        return -2
    return int(value)
