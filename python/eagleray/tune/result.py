"""Names of the fields that every result has. Follows `ray.tune.result`."""

from __future__ import annotations

import os
from pathlib import Path

from .._planned import lazily

DONE = "done"
TRAINING_ITERATION = "training_iteration"
TIME_TOTAL_S = "time_total_s"
TIME_THIS_ITER_S = "time_this_iter_s"
TIMESTEPS_TOTAL = "timesteps_total"
TIMESTEPS_THIS_ITER = "timesteps_this_iter"
EPISODES_TOTAL = "episodes_total"
EPISODES_THIS_ITER = "episodes_this_iter"
EPISODE_REWARD_MEAN = "episode_reward_mean"
MEAN_ACCURACY = "mean_accuracy"
MEAN_LOSS = "mean_loss"
TRIAL_ID = "trial_id"
EXPERIMENT_TAG = "experiment_tag"
TRIAL_INFO = "trial_info"
SHOULD_CHECKPOINT = "should_checkpoint"
HOSTNAME = "hostname"
NODE_IP = "node_ip"
PID = "pid"
DEFAULT_METRIC = "_metric"  # what `tune.report(value)` without a name is called

RESULT_FILE = "result.json"
PROGRESS_FILE = "progress.csv"
PARAMS_FILE = "params.json"
PARAMS_PICKLE_FILE = "params.pkl"
ERROR_FILE = "error.txt"
ERROR_PICKLE_FILE = "error.pkl"
JOURNAL_FILE = "experiment.sqlite"

# What the trainable adds by itself; the rest of a result is the user's.
AUTO_FIELDS = frozenset(
    (
        DONE,
        TRAINING_ITERATION,
        TIME_TOTAL_S,
        TIME_THIS_ITER_S,
        TIMESTEPS_TOTAL,
        EPISODES_TOTAL,
        TRIAL_ID,
        EXPERIMENT_TAG,
        SHOULD_CHECKPOINT,
        HOSTNAME,
        NODE_IP,
        PID,
        "date",
        "timestamp",
        "config",
        "time_since_restore",
        "timesteps_since_restore",
        "iterations_since_restore",
        "experiment_id",
        "warmup_time",
        "checkpoint_dir_name",
    )
)


def default_results_dir() -> str:
    """Where experiments go when nobody says where: `$TUNE_RESULT_DIR`, else `~/ray_results`, or
    `~/eagleray_results` where `EAGLERAY_RESULTS=1` asks for it."""
    chosen = os.environ.get("TUNE_RESULT_DIR") or os.environ.get("RAY_AIR_LOCAL_CACHE_DIR")
    if chosen:
        return str(Path(chosen).expanduser())
    own = os.environ.get("EAGLERAY_RESULTS", "") not in ("", "0")
    return str(Path.home() / ("eagleray_results" if own else "ray_results"))


__getattr__ = lazily(__name__)  # names that are planned
