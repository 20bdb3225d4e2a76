"""Where `eagleray._rl`, the native environments, nets and learner, can be used instead of Python's, and why not.

Imports neither gymnasium nor torch: rollout workers of native runs need nothing else.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np

from .models.defaults import MODEL_DEFAULTS
from .utils.exploration.names import is_plain

__all__ = ["env_spec", "learner_reason", "net_reason", "rl", "sampling_reason", "threads"]

ACTIVATIONS = ("tanh", "relu", "linear")
# Call-backs that want to be asked at each step, or to see single trajectories.
_STEP_HOOKS = (
    "on_environment_created",
    "on_sub_environment_created",
    "on_episode_created",
    "on_episode_start",
    "on_episode_step",
    "on_episode_end",
    "on_postprocess_trajectory",
    "on_sample_end",
)


@functools.cache
def rl() -> Any:
    """The module `eagleray._rl`."""
    from eagleray import _rl

    return _rl


@functools.cache
def _env_ids() -> frozenset[str]:
    return frozenset(rl().env_ids())


def env_spec(config: Any) -> dict[str, Any] | None:
    """What the native twin of config["env"] is like; None if there is none, or the user has registered the name."""
    from .env.make import registered

    name = config["env"]
    if not isinstance(name, str) or config["env_config"] or name not in _env_ids():
        return None
    return None if registered(name) is not None else dict(rl().env_spec(name))


def net_reason(config: Any, observation_space: Any, action_space: Any) -> str | None:
    """Why the net of this configuration cannot act natively; None: it can. Spaces: of the policy."""
    model = config["model"]
    for key in (
        "use_lstm",
        "use_attention",
        "custom_model",
        "custom_action_dist",
        "post_fcnet_hiddens",
        "no_final_linear",
        "fcnet_use_layernorm",
    ):
        if model[key]:
            return f"config['model']['{key}'] is set"
    if model["fcnet_activation"] not in ACTIVATIONS:
        return f"fcnet_activation is {model['fcnet_activation']!r}, not one of {', '.join(ACTIVATIONS)}"
    if any(model[key] for key in model if key.endswith("_initializer")):
        return "an initialiser is set"
    if not model["fcnet_hiddens"]:
        return "there are no hidden layers"
    if len(observation_space.shape) > 2:
        return "observations are images"
    kind = type(action_space).__name__
    if kind == "Discrete":
        pass
    elif not (
        kind == "Box"
        and len(action_space.shape) == 1
        and np.issubdtype(action_space.dtype, np.floating)
    ):
        return f"the action space is {action_space}"
    if config["rl_module_spec"] is not None:
        return "rl_module_spec is set"
    if not is_plain(config["exploration_config"]):
        return f"exploration is {config['exploration_config']}"
    if kind == "Box" and model["log_std_clip_param"] != MODEL_DEFAULTS["log_std_clip_param"]:
        return "log_std_clip_param is set"
    return None


def learner_reason(config: Any, observation_space: Any, action_space: Any) -> str | None:
    """Why it cannot learn natively; None: it can."""
    reason = net_reason(config, observation_space, action_space)
    if reason is not None:
        return reason
    if config["num_gpus"] or config["num_gpus_per_learner"]:
        return "it is to learn on a GPU"
    if config["num_learners"] > 1:
        return "there are several learners"
    if config["grad_clip"] is not None and config["grad_clip_by"] != "global_norm":
        return f"grad_clip_by is {config['grad_clip_by']!r}"
    if set(config["optimizer"]) - {"betas", "eps"}:
        return "config['optimizer'] has settings of its own"
    return None


def sampling_reason(config: Any, callbacks: Any) -> str | None:
    """Why environments of Python must sample although there are native ones; None: they need not."""
    if config["observation_filter"] not in ("NoFilter", None):
        return "observation_filter is set"
    for key in (
        "horizon",
        "clip_rewards",
        "no_done_at_end",
        "output",
        "env_task_fn",
        "observation_fn",
    ):
        if config[key]:
            return f"config['{key}'] is set"
    if config.envs_in_processes:
        return "environments have processes of their own"
    if config["model"]["custom_preprocessor"]:
        return "custom_preprocessor is set"
    if config["batch_mode"] != "truncate_episodes" and not config["in_evaluation"]:
        return "batch_mode is complete_episodes"
    if callbacks.uses(*_STEP_HOOKS):
        return "call-backs want to see episodes"
    return None


def threads(cpus: float) -> int:
    """How many threads may compute: as many as CPUs were asked for, and there are."""
    return max(min(int(cpus), len(os.sched_getaffinity(0))), 1)
