"""PPO (Schulman et al., 2017): clipped surrogate, adaptive KL penalty, clipped value loss, many epochs a batch."""

from __future__ import annotations

from typing import Any

from ..algorithm import Algorithm
from ..algorithm_config import AlgorithmConfig
from ..config_checks import named

__all__ = ["PPO", "PPOConfig", "PPOTrainer"]


class PPOConfig(AlgorithmConfig):
    """The settings of PPO, with Ray's defaults."""

    OWN = {
        "lr": 5e-5,
        "train_batch_size": 4000,
        "minibatch_size": 128,
        "num_epochs": 30,
        "shuffle_batch_per_epoch": True,
        "use_critic": True,
        "use_gae": True,
        "lambda_": 1.0,
        "use_kl_loss": True,
        "kl_coeff": 0.2,
        "kl_target": 0.01,
        "vf_loss_coeff": 1.0,
        "vf_clip_param": 10.0,
        "vf_share_layers": False,
        "entropy_coeff": 0.0,
        "entropy_coeff_schedule": None,
        "clip_param": 0.3,
        "model": {"vf_share_layers": False},
    }

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class=algo_class or PPO)

    def validate(self) -> None:
        super().validate()
        if (self["minibatch_size"] or 0) > self.total_train_batch_size:
            raise ValueError(
                f"{named('minibatch_size')} is {self['minibatch_size']}, more than the train_batch_size of "
                f"{self.total_train_batch_size}"
            )


class PPO(Algorithm):
    """One iteration: fragments of at least train_batch_size steps, then num_epochs over shuffled minibatches."""

    _config_class = PPOConfig
    native_loss = "ppo"

    @classmethod
    def get_default_policy_class(cls, config: Any) -> Any:
        from ...policy.ppo_torch_policy import PPOTorchPolicy

        return PPOTorchPolicy

    def training_step(self) -> dict[str, Any]:
        config = self._algorithm_config
        batch = self.sample(config.total_train_batch_size)
        return self.learn(batch, config["num_epochs"], config["minibatch_size"])


PPOTrainer = PPO
