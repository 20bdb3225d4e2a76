"""Trainable: a class that trains step by step, can be saved and restored, and is driven by Tune.

It runs in an actor of its own, or in the caller's process when a program makes one by hand. Follows
`ray.tune.Trainable`.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import result as fields
from ..checkpoint import Checkpoint, read_data, read_manifest, write_aside, write_data


class Trainable:
    """Subclasses define `setup(config)`, `step() -> dict`, `save_checkpoint(directory)` and
    `load_checkpoint(checkpoint)`; the rest has defaults.

    config: what the trial was given. logger_creator: called with the config, gives an object with a `logdir`;
    None: a new directory under the results directory, made when it is first asked for.
    """

    def __init__(
        self,
        config: dict[str, Any] | None = None,
        logger_creator: Any = None,
        storage: Any = None,
        trial_info: Any = None,
    ) -> None:
        self.config: dict[str, Any] = config if config is not None else {}
        self._trial_info = trial_info
        self._logger = logger_creator(self.config) if logger_creator else None
        self._logdir: str | None = getattr(self._logger, "logdir", None)
        if trial_info is not None:
            self._logdir = trial_info.logdir
        self._iteration = 0
        self._time_total = 0.0
        self._timesteps_total: int | None = None
        self._episodes_total: int | None = None
        self._restored_at = (0, 0.0, 0)  # iteration, seconds, time steps when this life began
        self._started = time.time()
        self._where: dict[str, Any] | None = None
        began = time.monotonic()
        self.setup(self.config)
        self._warmup_time = time.monotonic() - began

    # What a subclass defines.

    def setup(self, config: dict[str, Any]) -> None:
        """Called once, before the first step."""

    def step(self) -> dict[str, Any]:
        """One step of training. The result: a dictionary; `done=True` in it ends the trial."""
        raise NotImplementedError(f"{type(self).__name__} has no step()")

    def save_checkpoint(self, checkpoint_dir: str) -> Any:
        """Writes what a restore needs into the directory; or returns it as a dictionary, which is pickled there."""
        raise NotImplementedError(f"{type(self).__name__} has no save_checkpoint()")

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Takes back what save_checkpoint() wrote: its dictionary, or the path of the directory."""
        raise NotImplementedError(f"{type(self).__name__} has no load_checkpoint()")

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Makes this object that of another trial. False: it cannot, and a new one is made."""
        return False

    def cleanup(self) -> None:
        """Called once, at the end."""

    def log_result(self, result: dict[str, Any]) -> None:
        """Called with each result of train()."""
        if self._logger is not None and hasattr(self._logger, "on_result"):
            self._logger.on_result(result)

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> Any:
        """The resources of a trial with this config, as a PlacementGroupFactory; None: one CPU."""
        return None

    @classmethod
    def resource_help(cls, config: dict[str, Any]) -> str:
        """What to change in the config when a trial cannot be placed."""
        return ""

    # What drives it.

    def train(self) -> dict[str, Any]:
        """One step, with the fields that every result has (iteration, times, place)."""
        began = time.monotonic()
        result = self.step()
        if not isinstance(result, dict):
            raise TypeError(
                f"step() of {type(self).__name__} must return a dict, not {type(result).__name__}"
            )
        return self._complete(dict(result), time.monotonic() - began)

    def _complete(self, result: dict[str, Any], seconds: float) -> dict[str, Any]:
        self._iteration += 1
        if result.get(fields.TIME_THIS_ITER_S) is not None:
            seconds = result[fields.TIME_THIS_ITER_S]
        self._time_total += seconds
        result.setdefault(fields.DONE, False)
        if result.get(fields.TIMESTEPS_TOTAL) is not None:
            self._timesteps_total = result[fields.TIMESTEPS_TOTAL]
        elif result.get(fields.TIMESTEPS_THIS_ITER) is not None:
            self._timesteps_total = (self._timesteps_total or 0) + result[
                fields.TIMESTEPS_THIS_ITER
            ]
        if result.get(fields.EPISODES_TOTAL) is not None:
            self._episodes_total = result[fields.EPISODES_TOTAL]
        elif result.get(fields.EPISODES_THIS_ITER) is not None:
            self._episodes_total = (self._episodes_total or 0) + result[fields.EPISODES_THIS_ITER]
        if self._timesteps_total is not None:
            result[fields.TIMESTEPS_TOTAL] = self._timesteps_total
            result["timesteps_since_restore"] = self._timesteps_total - self._restored_at[2]
        if self._episodes_total is not None:
            result[fields.EPISODES_TOTAL] = self._episodes_total
        now = time.time()
        result.setdefault(fields.TRAINING_ITERATION, self._iteration)
        result[fields.TIME_THIS_ITER_S] = seconds
        result[fields.TIME_TOTAL_S] = self._time_total
        result["time_since_restore"] = self._time_total - self._restored_at[1]
        result["iterations_since_restore"] = self._iteration - self._restored_at[0]
        result["date"] = datetime.fromtimestamp(now).strftime("%Y-%m-%d_%H-%M-%S")
        result["timestamp"] = int(now)
        if self._where is None:
            self._where = {
                fields.PID: os.getpid(),
                fields.HOSTNAME: platform.node(),
                fields.NODE_IP: "127.0.0.1",
                fields.TRIAL_ID: self.trial_id,
            }
        result.update(self._where)
        result["config"] = self.config
        self.log_result(result)
        return result

    def train_buffered(
        self, buffer_time_s: float, max_buffer_length: int = 1000
    ) -> list[dict[str, Any]]:
        """Results of steps until the time is over, or one is done."""
        results: list[dict[str, Any]] = []
        until = time.monotonic() + buffer_time_s
        while not results or (
            time.monotonic() < until
            and len(results) < max_buffer_length
            and not results[-1].get(fields.DONE)
        ):
            results.append(self.train())
        return results

    def save(self, checkpoint_dir: str | None = None) -> Checkpoint:
        """Writes a checkpoint: aside, then renamed, so that there is a whole one or none.

        checkpoint_dir: where; None: `checkpoint_NNNNNN` in the trial's directory. An older checkpoint there is
        replaced; other files stay.
        """
        directory = Path(checkpoint_dir or Path(self.logdir) / f"checkpoint_{self._iteration:06d}")
        with write_aside(directory) as aside:
            data = self.save_checkpoint(str(aside))
            if isinstance(data, dict):
                write_data(aside, data)
            return self._manifest_written(aside, directory)

    def _manifest_written(self, aside: Path, directory: Path) -> Checkpoint:
        from ..checkpoint import write_manifest

        write_manifest(
            aside,
            {
                "iteration": self._iteration,
                "time_total": self._time_total,
                "timesteps_total": self._timesteps_total,
                "episodes_total": self._episodes_total,
                "trainable": type(self).__name__,
            },
        )
        return Checkpoint(str(directory))

    def restore(self, checkpoint_path: Any, checkpoint_node_ip: Any = None) -> None:
        """Continues from a checkpoint: a path, or a Checkpoint. ValueError where it is damaged."""
        path = Path(getattr(checkpoint_path, "path", checkpoint_path))
        manifest = read_manifest(path)
        data = read_data(path)
        self.load_checkpoint(data if data is not None else str(path))
        self._iteration = manifest.get("iteration", 0)
        self._time_total = manifest.get("time_total", 0.0)
        self._timesteps_total = manifest.get("timesteps_total")
        self._episodes_total = manifest.get("episodes_total")
        self._restored_at = (self._iteration, self._time_total, self._timesteps_total or 0)

    def reset(self, new_config: dict[str, Any], trial_info: Any = None) -> bool:
        """Becomes another trial, where reset_config() can. The counters start again."""
        if not self.reset_config(new_config):
            return False
        self.config = new_config
        if trial_info is not None:
            self._trial_info, self._logdir = trial_info, trial_info.logdir
        self._iteration, self._time_total, self._restored_at = 0, 0.0, (0, 0.0, 0)
        self._timesteps_total = self._episodes_total = self._where = None
        return True

    def stop(self) -> None:
        """Ends it: cleanup() is called."""
        if self._logger is not None and hasattr(self._logger, "close"):
            self._logger.close()
        self.cleanup()

    def export_model(self, export_formats: Any, export_dir: str | None = None) -> dict[str, str]:
        """Writes the model in other formats, by `_export_model()` of the subclass: format and path of each."""
        formats = [export_formats] if isinstance(export_formats, str) else list(export_formats)
        return self._export_model(formats, export_dir or self.logdir)

    def _export_model(self, export_formats: list[str], export_dir: str) -> dict[str, str]:
        return {}

    # What it knows of itself.

    @property
    def logdir(self) -> str:
        """The trial's directory, for files of its own."""
        if self._logdir is None:
            results = Path(fields.default_results_dir())
            results.mkdir(parents=True, exist_ok=True)
            stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
            self._logdir = tempfile.mkdtemp(prefix=f"{type(self).__name__}_{stamp}_", dir=results)
        return self._logdir

    @property
    def trial_id(self) -> str:
        """The trial's id, "default" outside of Tune."""
        return self._trial_info.trial_id if self._trial_info is not None else "default"

    @property
    def trial_name(self) -> str:
        return self._trial_info.trial_name if self._trial_info is not None else "default"

    @property
    def trial_resources(self) -> Any:
        return self._trial_info.resources if self._trial_info is not None else None

    @property
    def iteration(self) -> int:
        """How many results there have been."""
        return self._iteration

    @property
    def training_iteration(self) -> int:
        return self._iteration

    def get_config(self) -> dict[str, Any]:
        """The config, as it is now."""
        return self.config

    def get_state(self) -> dict[str, Any]:
        """The counters, as a checkpoint keeps them."""
        return {
            "iteration": self._iteration,
            "time_total": self._time_total,
            "timesteps_total": self._timesteps_total,
            "episodes_total": self._episodes_total,
        }
