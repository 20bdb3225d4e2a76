"""A2C: one gradient step a batch, from advantages by GAE."""

from __future__ import annotations

from typing import Any

from ..algorithm import Algorithm
from ..algorithm_config import AlgorithmConfig

__all__ = ["A2C", "A2CConfig"]


class A2CConfig(AlgorithmConfig):
    """The settings of A2C, with Ray's defaults."""

    OWN = {
        "lr": 1e-4,
        "train_batch_size": 500,
        "rollout_fragment_length": 20,
        "use_critic": True,
        "use_gae": True,
        "lambda_": 1.0,
        "grad_clip": 40.0,
        "vf_loss_coeff": 0.5,
        "entropy_coeff": 0.01,
        "entropy_coeff_schedule": None,
        "microbatch_size": None,
        "min_time_s_per_iteration": 5,
    }
    CLASSIC = {"rollout_fragment_length": 20}

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class=algo_class or A2C)


class A2C(Algorithm):
    """Training steps for at least min_time_s_per_iteration (5 s) an iteration; each samples train_batch_size steps
    and learns from them once."""

    _config_class: Any = A2CConfig
    native_loss = "a2c"

    @classmethod
    def get_default_policy_class(cls, config: Any) -> Any:
        from ...policy.actor_critic_torch_policies import A2CTorchPolicy

        return A2CTorchPolicy

    def training_step(self) -> dict[str, Any]:
        batch = self.sample(self._algorithm_config.total_train_batch_size)
        return self.learn(batch, 1, None)
