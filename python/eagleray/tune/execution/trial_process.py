"""The process of a trial: an actor that makes the trainable and takes its steps."""

from __future__ import annotations

import logging
import os
import platform
import sys
from typing import Any

from eagleray.exceptions import RayError

from ..checkpoint import CheckpointDamagedError
from ..session import TrialInfo
from ..trainable.function_trainable import FunctionTrainable

_logger = logging.getLogger("eagleray.tune")
CANNOT_RESET = "this trainable has no reset_config() that returns True"


class RestoreFailedError(RayError):
    """A trial could not go on from its checkpoint."""


class TrialProcess:
    """Runs one trial, or one after another (reuse). Its methods are called one at a time, in order.

    trainable: the class. resources: what it runs in, a PlacementGroupFactory. checkpoint_every: iterations between
    checkpoints that it takes by itself, 0: none.
    """

    def __init__(
        self, trainable: Any, resources: Any, checkpoint_every: int, chdir: bool, log_files: Any
    ) -> None:
        self._class = trainable
        self._resources = resources
        self._every = checkpoint_every
        self._chdir = chdir
        self._log_files = log_files
        self._trainable: Any = None

    def start(
        self, config: dict[str, Any], names: tuple[str, str, str, str, str], checkpoint: str | None
    ) -> Any:
        """Becomes the process of a trial, whose directory it makes. Where it runs; CANNOT_RESET: it cannot, and is as
        it was. names: the fields of TrialInfo but its resources."""
        info = TrialInfo(*names, self._resources)
        try:
            os.mkdir(info.logdir)
        except FileExistsError:
            pass
        except FileNotFoundError:
            os.makedirs(info.logdir, exist_ok=True)
        if self._chdir:
            os.chdir(info.logdir)
        if self._log_files:
            _redirect(info.logdir, *self._log_files)
        if self._trainable is None:
            self._trainable = self._class(config=config, trial_info=info)
        elif not self._trainable.reset(config, info):
            self.stop()  # the step that is asked for behind this must not run the trial before
            return CANNOT_RESET
        if checkpoint is not None:
            try:
                self._trainable.restore(checkpoint)
            except (CheckpointDamagedError, FileNotFoundError) as error:
                raise RestoreFailedError(f"{type(error).__name__}: {error}") from error
        return {"pid": os.getpid(), "hostname": platform.node(), "node_ip": "127.0.0.1"}

    def train(self) -> tuple[dict[str, Any], str | None]:
        """The next result, and the path of the checkpoint that was taken with it."""
        result = self._trainable.train()
        result.pop("config", None)  # the driver has it
        if isinstance(self._trainable, FunctionTrainable):
            kept = self._trainable.reported_checkpoint
        elif result.get("should_checkpoint") or (
            self._every and self._trainable.iteration % self._every == 0
        ):
            kept = self._trainable.save()
        else:
            kept = None
        if kept is None:
            return result, None
        result["checkpoint_dir_name"] = os.path.basename(kept.path)
        return result, kept.path

    def save(self) -> str | None:
        """Takes a checkpoint now; its path. None: a function, which saves itself."""
        if isinstance(self._trainable, FunctionTrainable):
            return None
        return str(self._trainable.save().path)

    def export(self, formats: list[str]) -> Any:
        """Asks the trainable for its model in these formats."""
        made = self._trainable.export_model(formats)
        if not made:
            _logger.warning(
                "export_formats=%s: %s has exported nothing: a class defines _export_model(formats, directory)",
                formats,
                type(self._trainable).__name__,
            )
        return made

    def stop(self) -> None:
        """Ends the trial, not the process."""
        if self._trainable is not None:
            trainable, self._trainable = self._trainable, None
            trainable.stop()


def _redirect(logdir: str, stdout_file: str, stderr_file: str) -> None:
    """Sends what the trial prints into files of its own."""
    for stream, number, name in ((sys.stdout, 1, stdout_file), (sys.stderr, 2, stderr_file)):
        stream.flush()
        target = os.open(os.path.join(logdir, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(target, number)
        os.close(target)
