"""What RLModules can do besides acting."""

from __future__ import annotations

from ....utils.lazy import lazily
from .value_function_api import ValueFunctionAPI

__all__ = ["ValueFunctionAPI"]


__getattr__ = lazily(__name__)  # names that are planned
