"""Errors for names that do not exist, with the nearest that does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["unknown"]


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """`unknown KIND 'NAME'; did you mean 'NEAREST'?`, without the question when nothing is near."""
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f"unknown {kind} {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
