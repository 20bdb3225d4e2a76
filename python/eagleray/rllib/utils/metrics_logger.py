"""MetricsLogger: what call-backs of Ray 2.x log, from any worker into the result of the iteration."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .by_name import by_name

__all__ = ["MetricsLogger"]

_REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
    "sum": np.sum,
    "lifetime_sum": np.sum,
    "item": lambda values: values[-1],
}


@by_name(
    statistics_of_Ray_2="aggregate merge_and_log_n_dicts peek_results compile activate_tensor_mode deactivate_tensor_mode",
)
class MetricsLogger:
    """log_value(key, value, reduce="mean", window=None, clear_on_reduce=False); key may be a tuple of names.

    Workers send what they have logged since the last sample; the algorithm reduces over `window` values
    (None: all of the iteration, or of the run for lifetime sums and without clear_on_reduce for sums).
    """

    def __init__(self) -> None:
        self._new: dict[Any, tuple[dict[str, Any], list[float]]] = {}
        self._kept: dict[Any, list[float]] = {}
        self._lifetime: dict[Any, float] = {}

    def log_value(
        self,
        key: Any,
        value: Any,
        *,
        reduce: str | None = "mean",
        window: int | None = None,
        **settings: Any,
    ) -> None:
        """Adds a number."""
        if reduce is not None and reduce not in _REDUCTIONS:
            raise ValueError(f"reduce={reduce!r}; there are {', '.join(_REDUCTIONS)} and None")
        options = {
            "reduce": reduce,
            "window": window,
            "clear": settings.get("clear_on_reduce", False),
        }
        self._new.setdefault(key, (options, []))[1].append(value)

    def log_dict(self, values: Any, *, key: Any = None, **settings: Any) -> None:
        """log_value() of each entry, under `key`."""
        for name, value in values.items():
            place = name if key is None else (*((key,) if isinstance(key, str) else key), name)
            if isinstance(value, dict):
                self.log_dict(value, key=place, **settings)
            else:
                self.log_value(place, value, **settings)

    @contextlib.contextmanager
    def log_time(self, key: Any, **settings: Any) -> Iterator[None]:
        """with logger.log_time("part"): logs the seconds that the block takes."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.log_value(key, time.perf_counter() - began, **settings)

    def reset(self) -> None:
        """Forgets everything."""
        self._new, self._kept, self._lifetime = {}, {}, {}

    def delete(self, *key: Any, key_error: bool = True) -> None:
        """Forgets a key. KeyError: there is none such."""
        name = key[0] if len(key) == 1 else tuple(key)
        known = [part for part in (self._new, self._kept, self._lifetime) if name in part]
        for part in known:
            del part[name]
        if key_error and not known:
            raise KeyError(name)

    def reduce(self, *_: Any, **__: Any) -> dict[str, Any]:
        """All metrics as a nested dict; values of this iteration are forgotten."""
        return self.reduced()

    def get_state(self) -> dict[str, Any]:
        """What windows and sums of the whole run hold."""
        return {"kept": dict(self._kept), "lifetime": dict(self._lifetime)}

    def set_state(self, state: dict[str, Any]) -> None:
        self._kept, self._lifetime = dict(state["kept"]), dict(state["lifetime"])

    def peek(self, key: Any, default: Any = None) -> Any:
        """The present value of a key."""
        values = self._kept.get(key, []) + self._new.get(key, ({}, []))[1]
        if not values:
            return default
        reduce = self._new.get(key, ({"reduce": "mean"}, []))[0].get("reduce") or "item"
        return float(_REDUCTIONS[reduce](values))

    def take(self) -> dict[Any, Any] | None:
        """What is new, for the algorithm; None when nothing is."""
        taken, self._new = self._new, {}
        return taken or None

    def merge(self, taken: dict[Any, Any] | None) -> None:
        """Adds what a worker has sent."""
        for key, (options, values) in (taken or {}).items():
            self._new.setdefault(key, (options, []))[1].extend(values)

    def reduced(self) -> dict[str, Any]:
        """All metrics as a nested dict; values of this iteration are forgotten."""
        result: dict[str, Any] = {}
        for key, (options, new) in self._new.items():
            reduce, window = options["reduce"], options["window"]
            if reduce == "lifetime_sum" or (
                reduce == "sum" and not options["clear"] and window is None
            ):
                self._lifetime[key] = self._lifetime.get(key, 0.0) + float(np.sum(new))
                value: Any = self._lifetime[key]
            else:
                values = (self._kept.get(key, []) + new)[-window:] if window else new
                self._kept[key] = values if window else []
                value = list(values) if reduce is None else float(_REDUCTIONS[reduce](values))
            place = result
            names = (key,) if isinstance(key, str) else tuple(key)
            for name in names[:-1]:
                place = place.setdefault(name, {})
            place[names[-1]] = value
        self._new = {}
        return result
