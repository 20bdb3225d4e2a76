"""Counters, gauges and histograms of programs, which Prometheus can scrape (docs/user/utilities.md)."""

from __future__ import annotations

import re
import warnings
from typing import Any

from ._metrics_recorder import Description, recorder

__all__ = ["Counter", "Gauge", "Histogram"]
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def _is_valid(name: str) -> bool:
    if not name:
        raise ValueError("Empty name is not allowed. Please provide a metric name.")
    if _NAME.fullmatch(name):
        return True
    warnings.warn(
        f"Invalid metric name: {name}. Metric will be discarded and data will not be collected or published. "
        "Metric names can only contain letters, numbers, _, and :. Metric names cannot start with numbers.",
        UserWarning,
        stacklevel=4,
    )
    return False


def _check_number(value: Any) -> None:
    if not isinstance(value, (int, float)):
        raise TypeError(f"value must be int or float, got {type(value)}.")


class Metric:
    """What the kinds have in common. Recording costs a dictionary's change; a thread sends what has come to the
    cluster once a second."""

    _kind = ""

    def __init__(
        self,
        name: str,
        description: str = "",
        tag_keys: tuple[str, ...] | None = None,
        boundaries: tuple[float, ...] = (),
    ) -> None:
        valid = _is_valid(name)
        self._name = name
        self._description = description
        self._tag_keys = tag_keys or ()
        if not isinstance(self._tag_keys, tuple):
            raise TypeError(f"tag_keys should be a tuple type, got: {type(self._tag_keys)}")
        for key in self._tag_keys:
            if not isinstance(key, str):
                raise TypeError(f"Tag keys must be str, got {type(key)}.")
        self._default_tags: dict[str, str] = {}
        self._default_key: tuple[tuple[str, str], ...] = ()
        said = Description(self._kind, name, description, boundaries)
        self._series = recorder.series(said) if valid else None

    def set_default_tags(self, default_tags: dict[str, str]) -> Any:
        """Tags of every value that names no others; gives the metric. ValueError for keys that are not
        tag_keys, TypeError for values that are no strings."""
        for key, value in default_tags.items():
            if key not in self._tag_keys:
                raise ValueError(f"Unrecognized tag key {key}.")
            if not isinstance(value, str):
                raise TypeError(f"Tag values must be str, got {type(value)}.")
        self._default_tags = dict(default_tags)
        self._default_key = tuple(sorted(default_tags.items()))
        return self

    def _key(self, tags: dict[str, str] | None) -> tuple[tuple[str, str], ...]:
        """The tags of a value, sorted. ValueError when one of tag_keys has none."""
        if not tags and len(self._default_tags) == len(self._tag_keys):
            return self._default_key
        given = tags or {}
        for value in given.values():
            if not isinstance(value, str):
                raise TypeError(f"Tag values must be str, got {type(value)}.")
        merged = {**self._default_tags, **given}
        missing = [key for key in self._tag_keys if key not in merged]
        if missing:
            raise ValueError(f"Missing value for tag key(s): {','.join(missing)}.")
        return tuple(sorted(merged.items()))

    @property
    def info(self) -> dict[str, Any]:
        """name, description, tag_keys and default_tags."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": self._default_tags,
        }

    def __reduce__(self) -> Any:
        return type(self), (self._name, self._description, self._tag_keys)


class Counter(Metric):
    """A number that grows; the processes' are added up."""

    _kind = "counter"

    def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        """Adds `value`. ValueError unless it is above 0."""
        _check_number(value)
        if value <= 0:
            raise ValueError(f"value must be >0, got {value}")
        if self._series is not None:
            self._series.add(self._key(tags), value)


class Gauge(Metric):
    """A number that changes. Each process has its own, which goes with it."""

    _kind = "gauge"

    def set(self, value: float | None, tags: dict[str, str] | None = None) -> None:
        """The value from now on; None changes nothing."""
        if value is None:
            return
        _check_number(value)
        if self._series is not None:
            self._series.set(self._key(tags), value)


class Histogram(Metric):
    """How many values lay below each of `boundaries`, which are above 0; the processes' are added up."""

    _kind = "histogram"

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: list[float] | None = None,
        tag_keys: tuple[str, ...] | None = None,
    ) -> None:
        if not boundaries:
            raise ValueError(
                "boundaries argument should be provided when using the Histogram class. e.g., "
                'Histogram("name", boundaries=[1.0, 2.0])'
            )
        for index, boundary in enumerate(boundaries):
            if boundary <= 0:
                raise ValueError(
                    f"Invalid `boundaries` argument at index {index}, {boundaries}. Use positive values for the "
                    "arguments."
                )
        self.boundaries = boundaries
        super().__init__(name, description, tag_keys, tuple(sorted(boundaries)))

    def observe(self, value: float, tags: dict[str, str] | None = None) -> None:
        """Counts `value`."""
        _check_number(value)
        if self._series is not None:
            self._series.observe(self._key(tags), value)

    @property
    def info(self) -> dict[str, Any]:
        """As of the others, with boundaries."""
        return {**super().info, "boundaries": self.boundaries}

    def __reduce__(self) -> Any:
        return Histogram, (self._name, self._description, self.boundaries, self._tag_keys)
