"""Validation of the options of tasks, actors and methods, once for decorators, `.options()` and
`._remote()`. Names, defaults and messages follow Ray 2.x (docs/user/compatibility.md)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
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
_LABEL_VALUE = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(
    rf"([A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*|)/{_LABEL_VALUE}"
)
_SELECTOR = re.compile(rf"!?({_LABEL_VALUE}|in\({_LABEL_VALUE}( *, *{_LABEL_VALUE})*\))|")


def check_selector(name: str, value: dict[Any, Any]) -> None:
    for key, wanted in value.items():
        if not isinstance(key, str) or not isinstance(wanted, str):
            raise TypeError(f"{name} must be Dict[str, str], not {{{key!r}: {wanted!r}}}")
        _need(
            _LABEL_KEY.fullmatch(key if "/" in key else f"/{key}") is not None,
            f"Invalid label key `{key}`. It is a name of at most 63 letters, digits, and within - _ and ., or one "
            "behind a prefix (DNS labels separated by dots) and a /.",
        )
        _need(
            _SELECTOR.fullmatch(wanted) is not None,
            f"Invalid label selector value `{wanted}`. It is a label's value, `!value`, `in(a,b)` or `!in(a,b)`; a "
            "value has at most 63 characters: letters, digits, and within - _ and .",
        )


def _check_fallback(_name: str, value: list[Any]) -> None:
    for each in value:
        _need(isinstance(each, dict), "Each element in fallback_strategy must be a dictionary.")
        _need(bool(each), "Empty dictionary found in `fallback_strategy`.")
        for name in each:
            _need(
                name == "label_selector",
                f"Unsupported option found: '{name}'. Only ['label_selector'] is currently supported.",
            )
        _need(
            isinstance(each["label_selector"], dict),
            'The value of "label_selector" must be a dictionary.',
        )
        check_selector("label_selector", each["label_selector"])


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
        elif name in _CHECKS:
            _CHECKS[name](name, value)
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


def _check_groups(_name: str, value: Any) -> None:
    for group in value:
        of_dict = isinstance(value, dict)
        _need(
            of_dict or (isinstance(group, dict) and {"name", "max_concurrency"} <= set(group)),
            "A concurrency group of a list is {'name': ..., 'max_concurrency': ...}.",
        )
        name, size = (group, value[group]) if of_dict else (group["name"], group["max_concurrency"])
        _need(isinstance(name, str), "The name of a concurrency group must be a string", TypeError)
        _integer(f"max_concurrency of {name}", size, 1, "a positive integer")


def _check_env(_name: str, value: dict[Any, Any]) -> None:
    from ._environments import fields

    fields.check(value)


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "runtime_env": _check_env,
    "scheduling_strategy": _check_place,
    "placement_group": _check_place,
    "label_selector": check_selector,
    "fallback_strategy": _check_fallback,
    "concurrency_groups": _check_groups,
}


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


def resources_of_actor(options: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """What an actor holds for life, and what it needs to start: the same, or a CPU where nothing is asked for."""
    held = resources_of(options, 0)
    explicit = ("num_cpus", "num_gpus", "resources", "memory")
    if all(options.get(name) is None for name in explicit):
        return held, {"CPU": RESOURCE_UNIT}
    return held, held


Place = dict[str, Any]  # the core's form of where something may run, see _core.pyi


def _in_group(group: Any, index: Any, capture: bool) -> Place:
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
    return {"kind": "group", "group": group.id.hex(), "index": index, "capture": capture}


def _needs_room(
    name: str, group: Any, index: int, wants: dict[str, int], only_starts: bool
) -> None:
    """ValueError where no bundle that is meant can ever hold it. only_starts: the CPU is an actor's, for its
    start."""
    bundles = group.bundle_specs
    meant = bundles if index == -1 else [bundles[index]]
    for bundle in meant:
        if all(round(bundle.get(k, 0) * RESOURCE_UNIT) >= amount for k, amount in wants.items()):
            return
    what = {k: v / RESOURCE_UNIT for k, v in wants.items()}
    where = "any bundles for" if index == -1 else f"bundle {index} of"
    if only_starts:
        raise ValueError(
            f"Cannot schedule {name} with the placement group because the actor requires 1 CPU for creation, but "
            f"it cannot fit into {where} the placement group, {bundles}. Consider creating a placement group "
            "with CPU resources."
        )
    raise ValueError(
        f"Cannot schedule {name} with the placement group because the resource request {what} cannot fit into "
        f"{where} the placement group, {bundles}."
    )


def place_of(
    options: dict[str, Any], name: str, wants: dict[str, int], only_starts: bool = False
) -> Place:
    """Where a task or actor of that name may run: `scheduling_strategy`, the older `placement_group*` options,
    `label_selector` with `fallback_strategy`. ValueError for what can never be."""
    selectors = [dict(options.get("label_selector") or {})]
    if selectors[0]:
        selectors += [dict(x["label_selector"]) for x in options.get("fallback_strategy") or ()]
    place = _strategy_of(options, name, wants, only_starts)
    return {**place, "selectors": selectors if selectors[0] else []}


def _strategy_of(
    options: dict[str, Any], name: str, wants: dict[str, int], only_starts: bool
) -> Place:
    strategy = options.get("scheduling_strategy")
    group = options.get("placement_group", "default")
    if group is not None and group != "default":
        _need(
            strategy is None,
            "Placement groups should be specified via the scheduling_strategy option. The placement_group option is "
            "deprecated.",
        )
        place = _in_group(
            group,
            options.get("placement_group_bundle_index"),
            bool(options.get("placement_group_capture_child_tasks")),
        )
        _needs_room(name, group, place["index"], wants, only_starts)
        return place
    if strategy is None and group == "default" and state.captured:
        return {"kind": "group", "group": state.captured, "index": -1, "capture": True}
    if strategy is None or strategy == "DEFAULT":
        return {"kind": "default"}
    if strategy == "SPREAD":
        return {"kind": "spread"}
    kind = type(strategy).__name__
    if kind == "PlacementGroupSchedulingStrategy":
        group, capture = (
            strategy.placement_group,
            strategy.placement_group_capture_child_tasks,
        )
        place = _in_group(
            group,
            strategy.placement_group_bundle_index,
            bool(state.captured) if capture is None else bool(capture),
        )
        _needs_room(name, group, place["index"], wants, only_starts)
        return place
    if kind == "NodeAffinitySchedulingStrategy":
        return {
            "kind": "node",
            "node": strategy.node_id,
            "soft": bool(strategy.soft),
            "fail_if_busy": strategy._fail_on_unavailable,
        }
    if kind == "NodeLabelSchedulingStrategy":
        return {
            "kind": "labels",
            "hard": {k: condition.text for k, condition in strategy.hard.items()},
            "soft": {k: condition.text for k, condition in strategy.soft.items()},
        }
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
