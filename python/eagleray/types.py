"""Types for annotations."""

from ._core import ObjectRef

__all__ = ["ObjectRef"]
