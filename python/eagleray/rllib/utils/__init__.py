"""Helpers that programs import from Ray's rllib.utils."""

from __future__ import annotations

from .annotations import DeveloperAPI, PublicAPI, override
from .containers import NullContextManager, add_mixins, force_list, force_tuple
from .deprecation import deprecation_warning, renamed_agent, renamed_class, renamed_function
from .dicts import deep_update, flatten_dict, merge_dicts, unflatten_dict
from .framework import try_import_jax, try_import_tf, try_import_tfp, try_import_torch
from .lazy import lazily

_PLACES = {
    **dict.fromkeys(
        (
            "LARGE_INTEGER",
            "MAX_LOG_NN_OUTPUT",
            "MIN_LOG_NN_OUTPUT",
            "SMALL_NUMBER",
            "fc",
            "lstm",
            "one_hot",
            "relu",
            "sigmoid",
            "softmax",
        ),
        ".numpy",
    ),
    **dict.fromkeys(
        (
            "ConstantSchedule",
            "ExponentialSchedule",
            "LinearSchedule",
            "PiecewiseSchedule",
            "PolynomialSchedule",
        ),
        ".schedules",
    ),
    **dict.fromkeys(("check", "check_compute_single_action", "check_train_results"), ".test_utils"),
    "Filter": ".filter",
}
__all__ = [
    "DeveloperAPI",
    "NullContextManager",
    "PublicAPI",
    "add_mixins",
    "deep_update",
    "deprecation_warning",
    "flatten_dict",
    "force_list",
    "force_tuple",
    "merge_dicts",
    "override",
    "renamed_agent",
    "renamed_class",
    "renamed_function",
    "try_import_jax",
    "try_import_tf",
    "try_import_tfp",
    "try_import_torch",
    "unflatten_dict",
    *_PLACES,
]
__getattr__ = lazily(__name__, _PLACES)
