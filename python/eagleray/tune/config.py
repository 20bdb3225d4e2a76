"""RunConfig and its parts, TuneConfig. Follows `ray.tune` (`ray.train`, `ray.air`) of today."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass
class CheckpointConfig:
    """Which checkpoints are taken and kept. num_to_keep: None keeps all; the best by checkpoint_score_attribute stay
    (order "max" or "min"). checkpoint_frequency: iterations between them, for classes; 0: none."""

    num_to_keep: int | None = None
    checkpoint_score_attribute: str | None = None
    checkpoint_score_order: str = "max"
    checkpoint_frequency: int = 0
    checkpoint_at_end: bool | None = None

    def __post_init__(self) -> None:
        if self.num_to_keep is not None and self.num_to_keep <= 0:
            raise ValueError(f"num_to_keep must be positive or None, not {self.num_to_keep}")
        if self.checkpoint_score_order not in ("max", "min"):
            raise ValueError(
                f"checkpoint_score_order must be 'max' or 'min', not {self.checkpoint_score_order!r}"
            )
        if self.checkpoint_frequency < 0:
            raise ValueError(
                f"checkpoint_frequency must not be negative, not {self.checkpoint_frequency}"
            )


@dataclass
class FailureConfig:
    """max_failures: how often a trial is tried again, -1: always. fail_fast: the first failure ends all; "raise": it
    is raised."""

    max_failures: int = 0
    fail_fast: bool | str = False

    def __post_init__(self) -> None:
        if not (isinstance(self.fail_fast, bool) or str(self.fail_fast).lower() == "raise"):
            raise ValueError(f"fail_fast must be a bool or 'raise', not {self.fail_fast!r}")
        if self.fail_fast and self.max_failures != 0:
            raise ValueError("fail_fast means that nothing is tried again: max_failures must be 0")


@dataclass
class SyncConfig:
    """Where files are copied to; on one machine they are there already."""

    sync_period: int = 300
    sync_timeout: int = 1800
    sync_artifacts: bool = False
    sync_artifacts_on_checkpoint: bool = True
    upload_dir: str | None = None
    syncer: Any = "auto"


@dataclass
class RunConfig:
    """What an experiment is called, where it lies, when it ends, what is told of it. tune.run() says what each
    means."""

    name: str | None = None
    storage_path: str | None = None
    failure_config: FailureConfig | None = None
    checkpoint_config: CheckpointConfig | None = None
    sync_config: SyncConfig | None = None
    callbacks: list[Any] | None = None
    stop: Any = None
    progress_reporter: Any = None
    log_to_file: Any = False
    verbose: Any = None
    storage_filesystem: Any = None
    local_dir: str | None = None


@dataclass
class TuneConfig:
    """How trials are chosen. tune.run() says what each means."""

    mode: str | None = None
    metric: str | None = None
    search_alg: Any = None
    scheduler: Any = None
    num_samples: int = 1
    max_concurrent_trials: int | None = None
    time_budget_s: float | datetime.timedelta | None = None
    reuse_actors: bool | None = None
    trial_name_creator: Callable[[Any], str] | None = None
    trial_dirname_creator: Callable[[Any], str] | None = None
    chdir_to_trial_dir: bool | None = None


class ResumeType(str, enum.Enum):
    """RESUME: from the last checkpoint. RESTART: from the beginning. SKIP: not at all."""

    RESUME = "resume"
    RESTART = "restart"
    SKIP = "skip"


@dataclass
class ResumeConfig:
    """What becomes of the trials of an experiment that goes on, for those that have ended, those that have not, and
    those that have failed: a ResumeType, or its name. Those that are skipped count as ended, failed ones as failed.
    ValueError: another name."""

    ResumeType: ClassVar[type[ResumeType]] = ResumeType

    finished: Any = ResumeType.SKIP
    unfinished: Any = ResumeType.RESUME
    errored: Any = ResumeType.SKIP

    def __post_init__(self) -> None:
        for name in ("finished", "unfinished", "errored"):
            value = getattr(self, name)
            try:
                setattr(self, name, ResumeType(str(getattr(value, "value", value)).lower()))
            except ValueError:
                raise ValueError(
                    f"ResumeConfig({name}=...) must be 'resume', 'restart' or 'skip', not {value!r}"
                ) from None
