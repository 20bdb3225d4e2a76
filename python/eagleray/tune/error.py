"""Exceptions of Tune. Follows `ray.tune.error`."""

from __future__ import annotations

from eagleray.exceptions import RayError


class TuneError(Exception):
    """An experiment cannot be run as asked, or trials of it have failed: then its second argument is their list."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class AbortTrialExecution(TuneError):
    """A trial could not be started."""


class TrialFailedError(RayError):
    """What a trial failed with, read from the journal: its text, not the exception itself."""
