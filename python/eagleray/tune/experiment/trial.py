"""Trial: one run of the trainable with one config, as the driver sees it. Follows `ray.tune.experiment.Trial`."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections import deque
from datetime import datetime
from typing import Any

from ..._planned import lazily
from ..checkpoint import Checkpoint
from ..error import TrialFailedError, TuneError
from ..execution.placement_groups import PlacementGroupFactory, resource_dict_to_pg_factory
from ..result import AUTO_FIELDS, ERROR_PICKLE_FILE, TRAINING_ITERATION
from ..search.variant_generator import flatten_resolved, format_vars
from ..utils import to_json
from ..utils.flatten import flatten
from .checkpoints import CheckpointList

EXPORT_FORMATS = ("checkpoint", "model", "onnx", "h5")
DIRECTORY_NAME_MAX = 130  # bytes of a trial's directory, the date not counted


class Trial:
    """What is known of a trial. A record that the controller changes; callbacks, searchers and schedulers read it.

    status: PENDING, RUNNING, PAUSED, TERMINATED or ERROR.
    """

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    TERMINATED = "TERMINATED"
    ERROR = "ERROR"

    def __init__(
        self,
        trainable_name: str,
        *,
        trial_id: str,
        config: dict[str, Any],
        resolved: dict[Any, Any],
        number: int,
        experiment_path: str,
        resources: PlacementGroupFactory,
        checkpoints: CheckpointList | None = None,
    ) -> None:
        self.trainable_name = trainable_name
        self.trial_id = trial_id
        self.config = config
        self.evaluated_params = flatten_resolved(resolved)
        self.number = number
        self.experiment_tag = f"{number}_{format_vars(resolved)}".rstrip("_")
        self.local_experiment_path = experiment_path
        self.placement_group_factory = resources
        self.checkpoints = checkpoints or CheckpointList()
        self.status = self.PENDING
        self.last_result: dict[str, Any] = {}
        self._config_text: tuple[Any, str] | None = None
        self._result_text: tuple[Any, str] | None = None
        self.metric_analysis: dict[str, dict[str, float]] = {}
        self._recent: dict[str, deque[float]] = {}
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self.reported = 0  # how many results there have been
        self.num_failures = 0
        self.error_message: str | None = None
        self.error: BaseException | None = None
        self.start_time: float | None = None
        self.end_time: float | None = None
        self.where = ""  # ip:pid
        self.restore_from: Checkpoint | None = None  # where its next life begins
        self.custom_name: str | None = None
        self.date = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        self.dirname = ""

    # Names and places.

    @property
    def env_name(self) -> str | None:
        env = self.config.get("env") if isinstance(self.config, dict) else None
        return getattr(env, "__name__", None) if isinstance(env, type) else env

    @property
    def trial_name(self) -> str:
        """`PPO_CartPole-v0_1a2b3_00000`, or what trial_name_creator made."""
        if self.custom_name:
            return self.custom_name
        parts = [self.trainable_name, self.env_name, self.trial_id]
        return "_".join(str(part) for part in parts if part).replace("/", "_")

    def name_directory(self, creator: Any = None) -> None:
        """Chooses the name of its directory, once."""
        if creator is not None:
            self.dirname = str(creator(self)).replace("/", "_")
            return
        name = f"{self.trial_name}_{self.experiment_tag}".encode()[:DIRECTORY_NAME_MAX]
        self.dirname = f"{name.decode(errors='ignore')}_{self.date}"

    @property
    def local_path(self) -> str:
        return f"{self.local_experiment_path}/{self.dirname}"

    @property
    def logdir(self) -> str:
        return self.local_path

    path = local_dir = property(lambda self: self.local_path)

    @property
    def names(self) -> tuple[str, str, str, str, str]:
        """What its process has to know of it, in the order of TrialInfo."""
        return (
            self.trial_id,
            self.trial_name,
            self.local_path,
            os.path.basename(self.local_experiment_path),
            self.local_experiment_path,
        )

    # States.

    def is_finished(self) -> bool:
        return self.status in (self.TERMINATED, self.ERROR)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The latest checkpoint."""
        return self.checkpoints.latest

    @property
    def has_checkpoint(self) -> bool:
        return self.checkpoints.latest is not None

    @property
    def error_file(self) -> str | None:
        return f"{self.local_path}/error.txt" if self.error_message else None

    @property
    def pickled_error_file(self) -> str | None:
        return f"{self.local_path}/{ERROR_PICKLE_FILE}" if self.error_message else None

    @property
    def has_reported_at_least_once(self) -> bool:
        return self.reported > 0

    @property
    def relative_logdir(self) -> str:
        """The name of its directory in the experiment's."""
        return self.dirname

    @property
    def experiment_dir_name(self) -> str:
        return os.path.basename(self.local_experiment_path)

    def get_ray_actor_ip(self) -> str | None:
        """Where its process runs, or has run."""
        return self.where.partition(":")[0] or None

    def get_pickled_error(self) -> BaseException | None:
        return self.get_error()

    def set_config(self, config: dict[str, Any]) -> None:
        self.config = config

    def set_experiment_tag(self, tag: str) -> None:
        self.experiment_tag = tag

    def update_resources(self, resources: Any) -> None:
        """What it needs when it runs next: a dictionary or a PlacementGroupFactory. ValueError: it is running."""
        if self.status == self.RUNNING:
            raise ValueError(f"the resources of {self} cannot change while it runs: pause it first")
        self.placement_group_factory = resource_dict_to_pg_factory(resources)

    def get_error(self) -> BaseException | None:
        """What it failed with, as far as that could be kept; None: it has not, or nobody knows any more."""
        if self.error is None and self.pickled_error_file:
            try:
                with open(self.pickled_error_file, "rb") as file:
                    self.error = pickle.load(file)
            except Exception:  # of a class that is not here, or not kept at all
                self.error = TrialFailedError(self.error_message)
        return self.error

    @property
    def checkpoint_policy(self) -> tuple[int | None, str | None, str]:
        """How many checkpoints are kept, by which metric, in which order."""
        return self.checkpoints.policy

    @checkpoint_policy.setter
    def checkpoint_policy(self, policy: tuple[int | None, str | None, str]) -> None:
        self.checkpoints = CheckpointList(*policy)

    # As JSON, made once for all that write it.

    def config_json(self, again: bool = False) -> str:
        """The config on one line. again: also where it seems to be the same."""
        if again or self._config_text is None or self._config_text[0] is not self.config:
            self._config_text = self.config, to_json.dumps(self.config)
        return self._config_text[1]

    def result_json(self, result: dict[str, Any]) -> str:
        """Its newest result on one line, without the config. As it is when this is first asked: callbacks may add to
        a result until then."""
        if self._result_text is None or self._result_text[0] is not result:
            plain = {key: value for key, value in result.items() if key != "config"}
            self._result_text = result, to_json.dumps(plain)
        return self._result_text[1]

    # Results.

    def update_last_result(self, result: dict[str, Any]) -> None:
        """Takes a result, and what it changes in the extremes and means of each metric."""
        self.last_result = result
        for name, value in flatten(result, leave_out=("config",)).items():
            if type(value) is float or type(value) is int or is_number(value):
                self._count(name, value)

    def _count(self, name: str, value: float) -> None:
        known = self.metric_analysis.get(name)
        if known is None:
            self._recent[name] = deque([value], 10)
            self._sums[name], self._counts[name] = value, 1
            self.metric_analysis[name] = {
                key: value for key in ("max", "min", "avg", "last", "last-5-avg", "last-10-avg")
            }
            return
        if value > known["max"] or known["max"] != known["max"]:
            known["max"] = value
        if value < known["min"] or known["min"] != known["min"]:
            known["min"] = value
        known["last"] = value
        if name in AUTO_FIELDS:
            return
        recent = self._recent[name]
        recent.append(value)
        self._sums[name] += value
        self._counts[name] += 1
        known["avg"] = self._sums[name] / self._counts[name]
        known["last-10-avg"] = sum(recent) / len(recent)
        last = list(recent)[-5:]
        known["last-5-avg"] = sum(last) / len(last)

    @property
    def iteration(self) -> int:
        return int(self.last_result.get(TRAINING_ITERATION, 0))

    @property
    def runtime(self) -> float:
        """Seconds since it started, to its end."""
        if self.start_time is None:
            return 0.0
        return (self.end_time or time.time()) - self.start_time

    def get_json_state(self) -> str:
        return json.dumps(
            {"trial_id": self.trial_id, "status": self.status, "config": self.config}, default=str
        )

    def __repr__(self) -> str:
        return self.trial_name

    def __hash__(self) -> int:
        return hash(self.trial_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trial) and self.trial_id == other.trial_id


def export_formats(asked: Any) -> list[str]:
    """The formats that a program has asked for. TuneError: there is no such format."""
    names = [asked] if isinstance(asked, str) else list(asked or [])
    formats = [str(name).strip().lower() for name in names]
    for name in formats:
        if name not in EXPORT_FORMATS:
            raise TuneError(
                f"export_formats: there is no format {name!r}, only {', '.join(EXPORT_FORMATS)}"
            )
    return formats


def is_number(value: Any) -> bool:
    """numpy's numbers, which are not int and float."""
    return (
        not isinstance(value, (bool, str, bytes))
        and hasattr(value, "__float__")
        and not getattr(value, "shape", ())
    )


__getattr__ = lazily(__name__)  # names that are planned
