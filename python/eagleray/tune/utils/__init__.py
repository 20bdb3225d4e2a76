"""Helpers of programs that use Tune. Follows `ray.tune.utils`."""

from __future__ import annotations

from ..._planned import lazily
from .dicts import deep_update, merge_dicts, unflattened_lookup
from .flatten import flatten_dict, unflatten_dict
from .util import (
    date_str,
    diagnose_serialization,
    env_integer,
    retry_fn,
    validate_save_restore,
    validate_warmstart,
    warn_if_slow,
)

__all__ = [
    "date_str",
    "deep_update",
    "diagnose_serialization",
    "env_integer",
    "flatten_dict",
    "merge_dicts",
    "retry_fn",
    "unflatten_dict",
    "unflattened_lookup",
    "validate_save_restore",
    "validate_warmstart",
    "warn_if_slow",
]
__getattr__ = lazily(__name__)
