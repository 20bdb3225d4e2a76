"""Iterating over results as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import eagleray as ray


def as_completed(
    refs: Iterable[Any], chunk_size: int = 10, yield_obj_refs: bool = False
) -> Iterator[Any]:
    """Values of `refs` (or the references themselves) as they become ready, up to chunk_size a wait."""
    waiting = list(refs)
    if chunk_size < 1:
        raise ValueError("chunk_size must be >= 1")
    while waiting:
        ready, waiting = ray.wait(waiting, num_returns=1)
        more, waiting = (
            ray.wait(waiting, num_returns=len(waiting), timeout=0) if waiting else ([], [])
        )
        ready += more[: chunk_size - 1]
        waiting = more[chunk_size - 1 :] + waiting
        yield from ready if yield_obj_refs else ray.get(ready)


def map_unordered(
    fn: Any,
    items: Iterable[Any],
    *,
    backpressure_size: int | None = 100,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
) -> Iterator[Any]:
    """Results of the remote function `fn` over `items` as they come, with at most backpressure_size
    calls in flight (None: all). ValueError unless it is positive."""
    limit = float("inf") if backpressure_size is None else backpressure_size
    if limit <= 0:
        raise ValueError("backpressure_size must be positive.")
    if chunk_size < 1:
        raise ValueError("chunk_size must be >= 1")
    submit: Callable[..., Any] = fn.remote if hasattr(fn, "remote") else ray.remote(fn).remote
    flying: list[Any] = []
    for item in items:
        flying.append(submit(item))
        if len(flying) >= limit:
            ready, flying = ray.wait(flying, num_returns=1)
            yield from ready if yield_obj_refs else ray.get(ready)
    yield from as_completed(flying, chunk_size, yield_obj_refs)
