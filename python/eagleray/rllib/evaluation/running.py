"""Running episodes in a checkpoint: environments of Python by their own get_state() and set_state(), else pickled.

What cannot be kept (an environment that is no value, more than KEPT_BYTES_MAX of it) is not an error: after a restore
new episodes begin then, and the log of the process says so.
"""

from __future__ import annotations

import logging
from typing import Any

from eagleray import cloudpickle

__all__ = ["KEPT_BYTES_MAX", "read_running", "write_running"]

logger = logging.getLogger("eagleray.rllib")
# Of the environments of one worker; a checkpoint is written often.
KEPT_BYTES_MAX = 64 << 20


def write_running(state: dict[str, Any], vector: Any) -> bytes | None:
    """`state` and the environments of a GymVector as bytes; None where they cannot be kept."""
    try:
        envs = [(True, env.get_state()) if _keeps(env) else (False, env) for env in vector.envs]
        kept = bytes(cloudpickle.dumps({**state, "envs": envs}))
    except Exception as error:  # whatever an environment of the user's raises when it is pickled
        logger.info("environments are not kept in the checkpoint, they begin anew: %r", error)
        return None
    if len(kept) > KEPT_BYTES_MAX:
        logger.info("environments are not kept in the checkpoint, they have %d bytes", len(kept))
        return None
    return kept


def read_running(kept: bytes | None, vector: Any) -> dict[str, Any] | None:
    """What write_running() was given; the environments take their places. None: nothing was kept, or it cannot be read here."""
    if kept is None or not hasattr(vector, "envs"):
        return None
    try:
        state: dict[str, Any] = cloudpickle.loads(kept)
        envs = state.pop("envs")
        if len(envs) != len(vector.envs):
            return None
        for index, (by_state, saved) in enumerate(envs):
            if by_state:
                vector.envs[index].set_state(saved)
            else:
                vector.envs[index] = saved
    except Exception as error:  # classes that are not there, states of another version
        logger.warning("environments begin new episodes: they cannot be restored: %r", error)
        return None
    return state


def _keeps(env: Any) -> bool:
    return all(callable(getattr(type(env), name, None)) for name in ("get_state", "set_state"))
