"""What keeps the results of trials. Follows `ray.tune.logger`."""

from __future__ import annotations

from .files import CSVLoggerCallback, JsonLoggerCallback
from .logger import LoggerCallback
from .printing import pretty_print
from .tensorboard import TBXLoggerCallback

DEFAULT_LOGGERS = (JsonLoggerCallback, CSVLoggerCallback, TBXLoggerCallback)

__all__ = [
    "CSVLoggerCallback",
    "DEFAULT_LOGGERS",
    "JsonLoggerCallback",
    "LoggerCallback",
    "TBXLoggerCallback",
    "pretty_print",
]
