"""Helpers that programs import from Ray's rllib.utils."""

from __future__ import annotations

from .annotations import DeveloperAPI, PublicAPI, override
from .dicts import deep_update, merge_dicts
from .framework import try_import_tf, try_import_torch

__all__ = [
    "DeveloperAPI",
    "PublicAPI",
    "deep_update",
    "force_list",
    "merge_dicts",
    "override",
    "try_import_tf",
    "try_import_torch",
]


def force_list(elements: object = None) -> list[object]:
    """A list of them: what is none already becomes one of one element; None, an empty one."""
    if elements is None:
        return []
    return list(elements) if isinstance(elements, list | tuple) else [elements]
