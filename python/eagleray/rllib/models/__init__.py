"""Nets, distributions, preprocessors."""

from __future__ import annotations

from typing import Any

from .defaults import MODEL_DEFAULTS

__all__ = ["MODEL_DEFAULTS", "ModelCatalog"]


def __getattr__(name: str) -> Any:
    if name == "ModelCatalog":
        from .catalog import ModelCatalog

        return ModelCatalog
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
