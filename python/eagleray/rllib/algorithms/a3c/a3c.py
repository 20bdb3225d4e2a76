"""A3C with its randomness taken out: an update for each worker's fragment, in the order of the workers.

The asynchronous original updates in the order in which workers happen to finish; learning is alike, and a run
with a seed is not.
"""

from __future__ import annotations

from typing import Any

from ..a2c.a2c import A2C, A2CConfig

__all__ = ["A3C", "A3CConfig"]


class A3CConfig(A2CConfig):
    """As A2C's, with fragments of 10 steps."""

    OWN = {"rollout_fragment_length": 10}
    CLASSIC = {"rollout_fragment_length": 10}

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class=algo_class or A3C)


class A3C(A2C):
    """See A3CConfig."""

    _config_class = A3CConfig
    native_loss = "a2c"

    @classmethod
    def get_default_policy_class(cls, config: Any) -> Any:
        return A2C.get_default_policy_class(config)

    def training_step(self) -> dict[str, Any]:
        length = self._algorithm_config.get_rollout_fragment_length()
        batch = self.sample(length * self.workers.num_envs)
        info: dict[str, Any] = {}
        share = max(batch.env_steps() // max(self.workers.num_remote_workers(), 1), 1)
        parts = batch.timeslices(share) if hasattr(batch, "timeslices") else [batch]
        for part in parts:
            info = self.learn(part, 1, None)
        return info
