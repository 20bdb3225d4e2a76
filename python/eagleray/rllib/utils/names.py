"""Errors for names that do not exist, with the nearest that does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["unknown"]

NAMES_MAX = 15  # more are not listed


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """`unknown KIND 'NAME'; did you mean 'NEAREST'?`; when nothing is near, all there are, if they are few."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    if near:
        return f"unknown {kind} {name!r}; did you mean {near[0]!r}?"
    there_are = f"; there are {', '.join(names)}" if 0 < len(names) <= NAMES_MAX else ""
    return f"unknown {kind} {name!r}{there_are}"
