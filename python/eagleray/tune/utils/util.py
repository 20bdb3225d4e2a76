"""Small things around a Tune program: dates, slow code, tries, whether something can be pickled or restored."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..._planned import lazily

__all__ = [
    "date_str",
    "diagnose_serialization",
    "env_integer",
    "retry_fn",
    "validate_save_restore",
    "validate_warmstart",
    "warn_if_slow",
]

logger = logging.getLogger("eagleray.tune")


def date_str() -> str:
    """Now, for names of files: 2026-11-26_10-57-00."""
    return datetime.today().strftime("%Y-%m-%d_%H-%M-%S")


def env_integer(key: str, default: int) -> int:
    """An environment variable as a number."""
    import os

    value = os.environ.get(key, "")
    return int(value) if value.isdigit() else default


class warn_if_slow:
    """with warn_if_slow("load", threshold=2.0): a warning where the block takes longer (seconds; 0.5 by default)."""

    def __init__(
        self,
        name: str,
        threshold: float | None = None,
        message: str | None = None,
        disable: bool = False,
    ) -> None:
        self.name, self.threshold, self.disable = name, threshold or 0.5, disable
        self.message = message or "{name} took {duration:.3f} s, which may slow the experiment down"

    def __enter__(self) -> warn_if_slow:
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        duration = time.monotonic() - self._began
        if duration > self.threshold and not self.disable:
            logger.warning("%s", self.message.format(name=self.name, duration=duration))


def retry_fn(
    fn: Callable[[], Any],
    exception_type: Any = Exception,
    num_retries: int = 3,
    sleep_time: float = 1,
    timeout: float | None = None,
) -> bool:
    """Calls fn() until it raises none of these, `num_retries` times at most, in a thread of its own; whether it did.
    timeout: seconds that one try may take."""

    def attempt(done: list[bool]) -> None:
        try:
            fn()
            done.append(True)
        except exception_type as error:
            logger.warning("%r; trying again", error)

    for number in range(num_retries):
        done: list[bool] = []
        thread = threading.Thread(target=attempt, args=(done,), daemon=True)
        thread.start()
        thread.join(timeout)
        if done:
            return True
        if number + 1 < num_retries:
            time.sleep(sleep_time)
    return False


def diagnose_serialization(trainable: Any) -> Any:
    """True where it can be sent to other processes; else prints what of it cannot, and gives the set of these."""
    from eagleray.util import inspect_serializability

    ok, failures = inspect_serializability(trainable, getattr(trainable, "__name__", "trainable"))
    return True if ok else failures


def validate_save_restore(
    trainable_cls: Any, config: dict[str, Any] | None = None, num_gpus: int = 0
) -> bool:
    """True where a Trainable goes on from its checkpoint in another process. AssertionError: it loses its iteration."""
    import eagleray

    remote = eagleray.remote(num_gpus=num_gpus)(trainable_cls)
    first, second = remote.remote(config), remote.remote(config)
    place = tempfile.mkdtemp(prefix="eagleray_restore_")
    try:
        for _ in range(3):
            eagleray.get(first.train.remote())
        path = eagleray.get(first.save.remote(place))
        eagleray.get(second.restore.remote(path))
        result = eagleray.get(second.train.remote())
        if result["training_iteration"] != 4:
            raise AssertionError(
                f"after a restore comes iteration {result['training_iteration']}, not 4"
            )
    finally:
        eagleray.kill(first)
        eagleray.kill(second)
        shutil.rmtree(place, ignore_errors=True)
    return True


def validate_warmstart(
    parameter_names: list[str],
    points_to_evaluate: list[Any],
    evaluated_rewards: list[Any] | None,
    validate_point_name_lengths: bool = True,
) -> None:
    """ValueError or TypeError: points that a searcher is to begin with do not fit its parameters or their rewards."""
    for point in points_to_evaluate or []:
        if not isinstance(point, dict | list):
            raise TypeError(f"points_to_evaluate must be dicts or lists, not {point!r}")
        if validate_point_name_lengths and len(point) != len(parameter_names):
            raise ValueError(f"{point!r} does not have the parameters {', '.join(parameter_names)}")
    if (
        points_to_evaluate
        and evaluated_rewards
        and len(points_to_evaluate) != len(evaluated_rewards)
    ):
        raise ValueError(
            f"{len(points_to_evaluate)} points_to_evaluate, but {len(evaluated_rewards)} evaluated_rewards"
        )


__getattr__ = lazily(__name__)  # names that are planned
