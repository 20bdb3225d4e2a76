"""What runs in a worker of a Pool: the actor that takes messages of chunks, and what it makes of exceptions."""

from __future__ import annotations

import multiprocessing.pool
import os
import time
from typing import Any

from ._progress import Progress, Seat

CALL, MAP, STARMAP = range(
    3
)  # what a chunk's items are: (args, kwargs), an argument, a tuple of arguments
PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes))
_pools: Any = multiprocessing.pool  # its exceptions have no public types


def _innermost(function: Any) -> Any:
    """What a partial or a bound method calls."""
    while not hasattr(function, "__globals__"):
        inner = getattr(function, "func", None) or getattr(function, "__func__", None)
        if inner is None:
            return None
        function = inner
    return function


class PoolActor:
    """Runs in a worker. It keeps the last function, so that one is sent once, not once a chunk."""

    def __init__(self, initializer: Any, initargs: Any, seat: Seat | None = None) -> None:
        self._progress = Progress(seat)
        self._function: Any = None
        self._globals: dict[str, Any] = {}
        if initializer is not None:
            self._initialize(initializer, initargs)

    def _initialize(self, initializer: Any, initargs: Any) -> None:
        # Functions of __main__ arrive each with globals of their own; in a forked process they share them.
        inner = _innermost(initializer)
        names = inner.__globals__ if inner is not None else {}
        before = dict(names)
        initializer(*initargs)
        if getattr(inner, "__module__", "") == "__main__":
            nothing = object()
            self._globals = {k: v for k, v in names.items() if before.get(k, nothing) is not v}

    def _load(self, function: Any) -> None:
        self._function = function
        if self._globals:
            inner = _innermost(function)
            if getattr(inner, "__module__", "") == "__main__":
                inner.__globals__.update(self._globals)

    def ping(self) -> int:
        return os.getpid()

    def run(
        self, message: int, function: Any, kind: int, chunks: list[list[Any]]
    ) -> tuple[list[tuple[bool, Any]], float]:
        """For each chunk (True, results) or (False, the first exception with its traceback); and the seconds
        that all took. function: it in a tuple, or None for the last one."""
        began = time.perf_counter()
        if function is not None:
            self._load(function[0])
        outcomes = []
        for i, items in enumerate(chunks):
            self._progress.begin(message, i)
            outcomes.append(self._run_one(kind, items))
        took = time.perf_counter() - began
        if len(chunks) > 1:  # what cannot be pickled fails its own chunk, not the message
            outcomes = [each if _is_plain(each[1]) else _tried(each) for each in outcomes]
        return outcomes, took

    def _run_one(self, kind: int, items: list[Any]) -> tuple[bool, Any]:
        call = self._function
        try:
            if kind == MAP:
                return True, [call(item) for item in items]
            if kind == STARMAP:
                return True, [call(*item) for item in items]
            return True, [call(*args, **kwargs) for args, kwargs in items]
        except Exception as error:
            return False, _with_traceback(error)


def _is_plain(value: Any) -> bool:
    """Whether it can surely be pickled."""
    if type(value) is list:
        return all(type(each) in PLAIN for each in value)
    return type(value) is _pools.ExceptionWithTraceback  # which has been tried


def _tried(outcome: tuple[bool, Any]) -> tuple[bool, Any]:
    from ..._serialization import dumps

    try:
        dumps(outcome[1])
    except Exception as problem:
        return False, _pools.MaybeEncodingError(problem, outcome[1])
    return outcome


def _with_traceback(error: Exception) -> Any:
    """Pickles to the exception with a RemoteTraceback as its cause, as the standard library's does."""
    import pickle

    from ..._serialization import dumps

    wrapped = _pools.ExceptionWithTraceback(error, error.__traceback__)
    try:
        pickle.loads(dumps(wrapped)[0])
    except Exception as problem:
        return _pools.MaybeEncodingError(problem, error)
    return wrapped
