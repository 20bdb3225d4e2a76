"""Several learners that share the work of an update."""

from __future__ import annotations

from .group import LearnerGroup

__all__ = ["LearnerGroup"]
