"""Which class a policy has: the native one where it can be, else the algorithm's own."""

from __future__ import annotations

from typing import Any

from .._native import learner_reason, rl

__all__ = ["default_backend", "default_policy_class", "describe"]


def default_backend(config: Any, observation_space: Any, action_space: Any) -> str:
    """ "native" or "torch", by config["learner_backend"]: "native" (ValueError where it cannot be), "torch", or
    "auto" (native if possible). Spaces: of the policy, after preprocessing."""
    backend = config["learner_backend"]
    if backend == "torch":
        return "torch"
    reason = _reason(config.algo_class, config, observation_space, action_space)
    if backend == "native" and reason is not None:
        raise ValueError(f"learner_backend='native' cannot be: {reason}")
    return "native" if reason is None else "torch"


def describe(policy: Any) -> str:
    """Which learner a policy has, and why: for the log."""
    if policy.framework == "native":
        return f"the learner is native ({rl().kernels()}); learner_backend='torch' turns it off"
    config = policy.config
    if config["learner_backend"] == "torch":
        return "the learner is PyTorch's, as learner_backend says"
    reason = _reason(config.algo_class, config, policy.observation_space, policy.action_space)
    return f"the learner is PyTorch's: {reason or 'the policy has a class of its own'}"


def default_policy_class(config: Any, observation_space: Any, action_space: Any) -> Any:
    """The class for default_backend()."""
    if default_backend(config, observation_space, action_space) == "native":
        from .native_policy import NativePolicy

        return NativePolicy
    return config.algo_class.get_default_policy_class(config)


def _reason(algorithm: Any, config: Any, observation_space: Any, action_space: Any) -> str | None:
    if not _has_native_loss(algorithm):
        return f"{algorithm.__name__} has no native loss"
    return learner_reason(config, observation_space, action_space)


def _has_native_loss(algorithm: Any) -> bool:
    """A subclass that gives its own policy class means it: its `native_loss` is not inherited."""
    for parent in algorithm.__mro__:
        if "native_loss" in vars(parent):
            return vars(parent)["native_loss"] is not None
        if "get_default_policy_class" in vars(parent):
            return False
    return False
