"""PG: REINFORCE on discounted returns, without a critic."""

from __future__ import annotations

from typing import Any

from ..algorithm import Algorithm
from ..algorithm_config import AlgorithmConfig

__all__ = ["PG", "PGConfig"]


class PGConfig(AlgorithmConfig):
    """The settings of PG, with Ray's defaults."""

    OWN = {
        "lr": 4e-4,
        "num_env_runners": 0,
        "train_batch_size": 200,
        "rollout_fragment_length": 200,
        "batch_mode": "complete_episodes",
        "use_critic": False,
        "use_gae": False,
        "lambda_": 1.0,
    }

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class=algo_class or PG)


class PG(Algorithm):
    """One gradient step a batch of whole episodes."""

    _config_class = PGConfig
    native_loss = "pg"

    @classmethod
    def get_default_policy_class(cls, config: Any) -> Any:
        from ...policy.actor_critic_torch_policies import PGTorchPolicy

        return PGTorchPolicy

    def training_step(self) -> dict[str, Any]:
        batch = self.sample(self._algorithm_config.total_train_batch_size)
        return self.learn(batch, 1, None)
