"""eagleray.tune: many trials of one program, with different settings, the best of which is wanted.

    from eagleray import tune

    def train(config):
        for step in range(10):
            tune.report(loss=(config["x"] - 3) ** 2 / (step + 1))

    analysis = tune.run(train, config={"x": tune.grid_search([1, 2, 3])}, metric="loss", mode="min")
    print(analysis.best_config)

The surface is Ray's (`ray.tune`), in the spellings of 2020, 2022 and today. It stands on eagleray's public API only.
Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .. import _planned

if TYPE_CHECKING:
    from .analysis import Analysis, ExperimentAnalysis
    from .callback import Callback
    from .checkpoint import Checkpoint
    from .config import (
        CheckpointConfig,
        FailureConfig,
        ResumeConfig,
        RunConfig,
        SyncConfig,
        TuneConfig,
    )
    from .error import TuneError
    from .execution.placement_groups import PlacementGroupFactory
    from .experiment.experiment import Experiment
    from .progress_reporter import CLIReporter, JupyterNotebookReporter, ProgressReporter
    from .registry import register_env, register_trainable
    from .result_grid import Result, ResultGrid
    from .schedulers import create_scheduler
    from .search import create_searcher
    from .search.sample import (
        choice,
        grid_search,
        lograndint,
        loguniform,
        qlograndint,
        qloguniform,
        qrandint,
        qrandn,
        quniform,
        randint,
        randn,
        sample_from,
        uniform,
    )
    from .session import (
        TuneContext,
        checkpoint_dir,
        get_checkpoint,
        get_context,
        get_trial_dir,
        get_trial_id,
        get_trial_name,
        get_trial_resources,
        is_session_enabled,
        report,
    )
    from .stopper import Stopper
    from .trainable import Trainable, with_parameters, with_resources
    from .tune import run, run_experiments
    from .tuner import Tuner

_MODULES = {
    ".analysis": "Analysis ExperimentAnalysis",
    ".callback": "Callback",
    ".checkpoint": "Checkpoint",
    ".config": "CheckpointConfig FailureConfig ResumeConfig RunConfig SyncConfig TuneConfig",
    ".error": "TuneError",
    ".execution.placement_groups": "PlacementGroupFactory",
    ".experiment.experiment": "Experiment",
    ".progress_reporter": "CLIReporter JupyterNotebookReporter ProgressReporter",
    ".registry": "register_env register_trainable",
    ".result_grid": "Result ResultGrid",
    ".schedulers": "create_scheduler",
    ".search": "create_searcher",
    ".search.sample": (
        "choice grid_search lograndint loguniform qlograndint qloguniform qrandint qrandn "
        "quniform randint randn sample_from uniform"
    ),
    ".session": (
        "TuneContext checkpoint_dir get_checkpoint get_context get_trial_dir get_trial_id "
        "get_trial_name get_trial_resources is_session_enabled report"
    ),
    ".stopper": "Stopper",
    ".trainable": "Trainable with_parameters with_resources",
    ".tune": "run run_experiments",
    ".tuner": "Tuner",
}
_LAZY = {name: module for module, names in _MODULES.items() for name in names.split()}
_SUBMODULES = (
    "analysis",
    "integration",
    "logger",
    "registry",
    "result",
    "schedulers",
    "search",
    "stopper",
    "suggest",
    "utils",
)

__all__ = [
    "Analysis",
    "CLIReporter",
    "Callback",
    "Checkpoint",
    "CheckpointConfig",
    "Experiment",
    "ExperimentAnalysis",
    "FailureConfig",
    "JupyterNotebookReporter",
    "PlacementGroupFactory",
    "ProgressReporter",
    "Result",
    "ResultGrid",
    "ResumeConfig",
    "RunConfig",
    "Stopper",
    "SyncConfig",
    "Trainable",
    "TuneConfig",
    "TuneContext",
    "TuneError",
    "Tuner",
    "checkpoint_dir",
    "choice",
    "create_scheduler",
    "create_searcher",
    "get_checkpoint",
    "get_context",
    "get_trial_dir",
    "get_trial_id",
    "get_trial_name",
    "get_trial_resources",
    "grid_search",
    "is_session_enabled",
    "lograndint",
    "loguniform",
    "qlograndint",
    "qloguniform",
    "qrandint",
    "qrandn",
    "quniform",
    "randint",
    "randn",
    "register_env",
    "register_trainable",
    "report",
    "run",
    "run_experiments",
    "sample_from",
    "uniform",
    "with_parameters",
    "with_resources",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name], __name__), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return importlib.import_module(f".{name}", __name__)
    return _planned.find("tune", name)
