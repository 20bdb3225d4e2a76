"""cloudpickle under Ray's path."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any

from cloudpickle import *  # noqa: F403
from cloudpickle import Pickler, dump, dumps, load, loads

__all__ = ["Pickler", "dump", "dump_debug", "dumps", "dumps_debug", "load", "loads"]


def _explained(function: Callable[..., Any], obj: Any, args: Any, kwargs: Any) -> Any:
    try:
        return function(obj, *args, **kwargs)
    except (TypeError, pickle.PicklingError) as error:
        if os.environ.get("RAY_PICKLE_VERBOSE_DEBUG"):
            from ..util import inspect_serializability

            inspect_serializability(obj)
            raise
        from .._serialization import _explain

        raise type(error)(_explain(obj, error)) from error


def dump_debug(obj: Any, *args: Any, **kwargs: Any) -> None:
    """dump(), whose error says what in `obj` cannot be pickled; with RAY_PICKLE_VERBOSE_DEBUG set it prints the
    report of inspect_serializability()."""
    _explained(dump, obj, args, kwargs)


def dumps_debug(obj: Any, *args: Any, **kwargs: Any) -> bytes:
    """dumps(), with an error as dump_debug() has it."""
    made: bytes = _explained(dumps, obj, args, kwargs)
    return made
