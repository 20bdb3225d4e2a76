"""Native environments, nets, learner and rollouts as Python sees them. Internal; no stability promised.

A module of its own, so that `import eagleray` and workers that learn nothing do not load it. Arrays are C-contiguous numpy arrays,
float32 unless said otherwise; each call returns fresh ones. Work is done without the GIL; one object is for one thread at a
time. Bad input (an unknown id, a wrong shape or type, NaN, an action out of range) is a ValueError that says which.
docs/design/learner.md has the figures and the reasons.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

def env_ids() -> list[str]: ...
def env_spec(id: str) -> dict[str, Any]:
    """What an environment's policy sees and does, as plain data:

    {"id", "max_episode_steps": int, "reward_threshold": float | None, "obs_dim": int, "observation": space, "action": space}, a space
    being {"type": "discrete", "n": int} or {"type": "box", "low": [float], "high": [float]} of one axis. A discrete observation
    arrives one-hot, obs_dim == n wide."""

class VectorEnv:
    """`num_envs` environments that are stepped together and reset themselves.

    The random numbers of environment i are a function of (seed, first_index + i, episode) only, so that its trajectory is the same in
    whatever vector it stands. Observations: [num_envs, obs_dim]. Actions: [num_envs] integers for a discrete space,
    [num_envs, action_dim] floats for a box (clipped as gymnasium's environment itself does)."""

    id: str
    num_envs: int
    seed: int
    first_index: int
    max_episode_steps: int
    obs_dim: int
    spec: dict[str, Any]  # env_spec(id)
    def __init__(
        self,
        id: str,
        num_envs: int,
        seed: int = 0,
        *,
        first_index: int = 0,
        max_episode_steps: int | None = None,
    ) -> None: ...
    def reset(self) -> Floats:
        """Begins the next episode of every environment (the first, if nothing was stepped yet) and returns its observations."""

    def step(
        self, actions: ArrayLike
    ) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_], Floats]:
        """(obs, rewards, terminated, truncated, final_obs). Where an episode has ended, obs is the first observation of the next and
        final_obs the last of the old; elsewhere the two are equal. Both flags are true where a terminal state is reached at the limit."""

    def observations(self) -> Floats: ...  # as the last reset() or step() returned them
    def state(self, index: int) -> NDArray[np.float64]: ...  # gymnasium's env.unwrapped.state
    def set_state(self, index: int, state: ArrayLike, elapsed: int = 0) -> None: ...
    def save(self) -> bytes: ...  # all of it, for load() on a vector made with the same arguments
    def load(self, saved: bytes) -> None: ...
