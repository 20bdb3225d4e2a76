"""Python's logging in drivers and workers: what `init(logging_level=, logging_format=, logging_config=)` say."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job_config import LoggingConfig

FORMAT = "%(asctime)s\t%(levelname)s %(filename)s:%(lineno)s -- %(message)s"

# Attributes that every logging.LogRecord has.
STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {
    "asctime",
    "message",
}


def set_up(config: LoggingConfig | None, plain: tuple[Any, str | None] | None) -> dict[str, Any]:
    """Sets up this process by `config`, or else eagleray's own logger by `plain`, a level and a format. Returns
    what set_up_worker() takes."""
    if config is not None:
        apply(config)
        return {"config": vars(config)}
    if plain is not None:
        _set_up_own(*plain)
        return {"plain": plain}
    return {}


def set_up_worker(described: dict[str, Any]) -> None:
    if "config" in described:
        from .job_config import LoggingConfig

        apply(LoggingConfig(**described["config"]))
    elif "plain" in described:
        _set_up_own(*described["plain"])


def _set_up_own(level: Any, fmt: str | None) -> None:
    logger = logging.getLogger("eagleray")
    logger.setLevel(level.upper() if isinstance(level, str) else level)
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(fmt or FORMAT))
        logger.addHandler(handler)
        logger.propagate = False


def apply(config: LoggingConfig) -> None:
    """The root logger writes to stderr as `config` says, and eagleray's own goes through it."""
    root = logging.getLogger()
    root.setLevel(config.log_level)
    handler = logging.StreamHandler()
    more = config.additional_log_standard_attrs
    handler.setFormatter(_Json(more) if config.encoding == "JSON" else _Text(more))
    root.handlers[:] = [handler]
    ours = logging.getLogger("eagleray")
    ours.setLevel(config.log_level)
    ours.handlers.clear()
    ours.propagate = True


def _given(record: logging.LogRecord, more: list[str]) -> dict[str, Any]:
    """Where it was logged, the further attributes wanted, and what `extra=` named."""
    found: dict[str, Any] = {name: getattr(record, name, None) for name in more}
    found.update(_where())
    for name, value in record.__dict__.items():
        if name not in STANDARD:
            found.setdefault(name, value)
    return found


class _Text(logging.Formatter):
    def __init__(self, more: list[str]) -> None:
        super().__init__(FORMAT)
        self.more = more

    def format(self, record: logging.LogRecord) -> str:
        words = [f"{name}={value}" for name, value in _given(record, self.more).items()]
        return " ".join([super().format(record), *words])


class _Json(logging.Formatter):
    def __init__(self, more: list[str]) -> None:
        super().__init__()
        self.more = more

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "asctime": self.formatTime(record),
            "levelname": record.levelname,
            "message": record.getMessage(),
            "filename": record.filename,
            "lineno": record.lineno,
            "timestamp_ns": time.time_ns(),
        }
        if record.exc_info:
            line["exc_text"] = self.formatException(record.exc_info)
        for name, value in _given(record, self.more).items():
            line.setdefault(name, value)
        return json.dumps(line, default=str)


def _where() -> dict[str, str]:
    from ._state import state

    if state.client is None:
        return {}
    from .runtime_context import get_runtime_context

    context = get_runtime_context()
    where = {
        "job_id": context.get_job_id(),
        "worker_id": context.get_worker_id(),
        "node_id": context.get_node_id(),
    }
    if state.is_worker:
        where |= {
            "task_id": context.get_task_id() or "",
            "task_name": context.get_task_name() or "",
            "actor_id": context.get_actor_id() or "",
            "actor_name": context.get_actor_name() or "",
        }
    return {name: value for name, value in where.items() if value}
