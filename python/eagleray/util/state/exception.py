"""Errors of the state API, with Ray's names."""

from __future__ import annotations


class RayStateApiException(Exception):
    """The state could not be had, or not all of it."""


class DataSourceUnavailable(Exception):
    """A process did not answer in time."""


class ServerUnavailable(RayStateApiException, ConnectionError):
    """There is no cluster to ask, for which Ray raises ConnectionError."""
