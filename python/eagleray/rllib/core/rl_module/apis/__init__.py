"""What RLModules can do besides acting."""

from __future__ import annotations

from .value_function_api import ValueFunctionAPI

__all__ = ["ValueFunctionAPI"]
