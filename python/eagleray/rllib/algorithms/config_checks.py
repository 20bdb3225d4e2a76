"""What values the settings of an algorithm may have: an error in the user's words, before anything is started."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from .config_tables import CLASSIC_NAMES

__all__ = ["check_values", "named"]

# Whole numbers, and the least each may be.
_WHOLE = {
    "num_env_runners": 0,
    "num_envs_per_env_runner": 1,
    "train_batch_size": 1,
    "evaluation_num_env_runners": 0,
    "metrics_num_episodes_for_smoothing": 0,
    "num_learners": 0,
    "num_epochs": 1,
    "shuffle_buffer_size": 0,
}
_WHOLE_OR_NONE = {
    "minibatch_size": 1,
    "train_batch_size_per_learner": 1,
    "horizon": 1,
    "evaluation_interval": 0,
    "seed": 0,
}
# Numbers, and their bounds.
_NUMBERS = {
    "gamma": (0, 1),
    "lambda_": (0, 1),
    "clip_param": (0, math.inf),
    "kl_coeff": (0, math.inf),
    "kl_target": (0, math.inf),
    "vf_loss_coeff": (0, math.inf),
    "num_gpus": (0, math.inf),
    "num_cpus_per_env_runner": (0, math.inf),
    "num_gpus_per_env_runner": (0, math.inf),
    "num_cpus_for_main_process": (0, math.inf),
    "num_gpus_per_learner": (0, math.inf),
    "sample_timeout_s": (0, math.inf),
}
_NUMBERS_OR_NONE = {"grad_clip": (0, math.inf), "vf_clip_param": (0, math.inf)}
_FLAGS = ("explore", "use_gae", "use_critic", "use_kl_loss", "normalize_actions", "clip_actions")
_DICTS = ("env_config", "exploration_config", "optimizer", "input_config", "output_config")
# A number, or points of a schedule.
_SCHEDULES = ("lr", "entropy_coeff")
_SCHEDULES_OR_NONE = ("lr_schedule", "entropy_coeff_schedule")
_OF_ADAM = ("betas", "eps", "weight_decay")


def named(key: str) -> str:
    """A setting as messages call it, with what Ray 1.x called it."""
    older = next((old for old, new in CLASSIC_NAMES.items() if new == key), None)
    name = "lambda" if key == "lambda_" else key
    return f"config[{name!r}]" + (f" ({older})" if older not in (None, name) else "")


def check_values(config: Any) -> None:
    """ValueError: a setting has a value that cannot be; which, and what it may be. Whole numbers become int."""
    for table, none in ((_WHOLE, False), (_WHOLE_OR_NONE, True)):
        for key, least in table.items():
            _check(config, key, none, _is_whole, least, math.inf, "a whole number")
            if key in config and isinstance(config[key], float):
                config[key] = int(config[key])  # 1e3: people write it
    for numbers, none in ((_NUMBERS, False), (_NUMBERS_OR_NONE, True)):
        for key, (least, most) in numbers.items():
            _check(config, key, none, _is_number, least, most, "a number")
    for key in _FLAGS:
        if key in config and not (config[key] in (0, 1) or hasattr(config[key], "dtype")):
            raise ValueError(f"{named(key)} must be True or False, not {config[key]!r}")
    for key in _DICTS:
        if config[key] is not None and not isinstance(config[key], Mapping):
            raise ValueError(f"{named(key)} must be a dict, not {config[key]!r}")
    for keys, none in ((_SCHEDULES, False), (_SCHEDULES_OR_NONE, True)):
        for key in keys:
            if key in config and not (none and config[key] is None):
                _check_schedule(key, config[key])
    _check_fragment(config["rollout_fragment_length"])
    _check_layers(config["model"])
    for key in config["optimizer"]:
        if key not in _OF_ADAM:
            raise ValueError(
                f"config['optimizer'] has {key!r}: the optimiser is Adam, with {', '.join(_OF_ADAM)}; a subclass of "
                "TorchPolicy may define make_optimizer()"
            )


def _check(
    config: Any, key: str, none: bool, kind: Any, least: float, most: float, what: str
) -> None:
    if key not in config or (none and config[key] is None):
        return
    value = config[key]
    if not kind(value) or not least <= value <= most:
        bounds = f" >= {least}" if math.isinf(most) else f" from {least} to {most}"
        or_none = " or None" if none else ""
        raise ValueError(f"{named(key)} must be {what}{bounds}{or_none}, not {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, Integral) or float(value).is_integer())


def _check_schedule(key: str, value: Any) -> None:
    if _is_number(value) and value >= 0:
        return
    points = value if isinstance(value, list | tuple) else []
    if not points or not all(
        isinstance(point, list | tuple) and len(point) == 2 and all(map(_is_number, point))
        for point in points
    ):
        raise ValueError(
            f"{named(key)} must be a number >= 0 or points [[0, value], [time step, value], ...], not {value!r}"
        )


def _check_fragment(length: Any) -> None:
    if length != "auto" and not (_is_whole(length) and length >= 1):
        raise ValueError(
            f"{named('rollout_fragment_length')} must be a whole number >= 1 or 'auto', not {length!r}"
        )


def _check_layers(model: Mapping[str, Any]) -> None:
    for key in ("fcnet_hiddens", "post_fcnet_hiddens"):
        sizes = model[key]
        if not isinstance(sizes, list | tuple) or not all(
            _is_whole(size) and size >= 1 for size in sizes
        ):
            raise ValueError(
                f"config['model'][{key!r}] must be a list of the layers' sizes, as [256, 256], not {sizes!r}"
            )
