"""Trainables: what a trial runs."""

from __future__ import annotations

from ..._planned import lazily
from .function_trainable import FunctionTrainable, wrap_function
from .trainable import Trainable
from .util import with_parameters, with_resources

__all__ = ["FunctionTrainable", "Trainable", "with_parameters", "with_resources", "wrap_function"]


__getattr__ = lazily(__name__)  # names that are planned
