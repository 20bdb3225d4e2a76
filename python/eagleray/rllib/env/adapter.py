"""One face for the environments of gym (4-tuple) and gymnasium (5-tuple), single- and multi-agent.

Which of the two an environment is shows in what it returns; nobody has to say it.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

__all__ = ["reset_env", "step_env"]


def step_env(env: Any, action: Any) -> tuple[Any, Any, Any, Any, Any]:
    """env.step(action) as (obs, reward, terminated, truncated, info), whichever of the two it speaks."""
    result = env.step(action)
    if len(result) == 5:
        return tuple(result)
    if len(result) != 4:
        raise ValueError(
            f"step() of {type(env).__name__} returned {len(result)} values; it must return 4 (obs, reward, "
            "done, info) or 5 (obs, reward, terminated, truncated, info)"
        )
    obs, reward, done, info = result
    if isinstance(done, dict):
        return obs, reward, done, dict.fromkeys(done, False), info
    truncated = bool(done) and bool(info.get("TimeLimit.truncated", False))
    return obs, reward, bool(done) and not truncated, truncated, info


def reset_env(env: Any, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
    """env.reset() as (obs, info). seed: given to the environment in the way it takes one, if any."""
    arguments: dict[str, Any] = {}
    made: Any = type(env)
    names = _reset_arguments(made)
    if seed is not None:
        if "seed" in names:
            arguments["seed"] = seed
        elif callable(getattr(env, "seed", None)):
            env.seed(seed)
    if options is not None and "options" in names:
        arguments["options"] = options
    result = env.reset(**arguments)
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict):
        space: Any = getattr(env, "observation_space", None)
        if not (
            type(space).__name__ == "Tuple" and len(space.spaces) == 2 and _fits(space, result)
        ):
            return result
    return result, {}


def _fits(space: Any, value: Any) -> bool:
    try:
        return bool(space.contains(value))
    except (TypeError, ValueError, AttributeError, KeyError):
        return False


@functools.cache
def _reset_arguments(env_class: Any) -> set[str]:
    """Those of "seed" and "options" that reset() takes. Signatures are slow to read: once a class."""
    try:
        parameters = inspect.signature(env_class.reset).parameters
    except (AttributeError, TypeError, ValueError):
        return set()
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return {"seed", "options"}
    return set(parameters)
