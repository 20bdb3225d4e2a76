"""ARS (Mania et al., 2018): the best of mirrored perturbations, scaled by the deviation of their rewards."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..es.es import ES, ESConfig

__all__ = ["ARS", "ARSConfig"]


class ARSConfig(ESConfig):
    """The settings of ARS, with Ray's defaults."""

    OWN = {
        "num_env_runners": 2,
        "noise_stdev": 0.02,
        "num_rollouts": 32,
        "rollouts_used": 32,
        "sgd_stepsize": 0.01,
        "offset": 0,
    }

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class=algo_class or ARS)

    def validate(self) -> None:
        super().validate()
        if not 1 <= self["rollouts_used"] <= self["num_rollouts"]:
            raise ValueError("rollouts_used must be between 1 and num_rollouts")


class ARS(ES):
    """One iteration: num_rollouts directions, a step along the rollouts_used best."""

    _config_class = ARSConfig
    native_loss = "pg"  # never used: it makes the net native where it can be

    @classmethod
    def get_default_policy_class(cls, config: Any) -> Any:
        return ES.get_default_policy_class(config)

    def training_step(self) -> dict[str, Any]:
        config = self._algorithm_config
        seeds, rewards = self._evaluated(2 * config["num_rollouts"], 0, config["noise_stdev"])
        best = np.argsort(-rewards.max(axis=1), kind="stable")[: config["rollouts_used"]]
        used = rewards[best]
        deviation = max(float(used.std()), 1e-6)
        weights = ((used[:, 0] - used[:, 1]) / deviation).astype(np.float32)
        gradient = self._summed([seeds[at] for at in best], weights) / len(best)
        self._vector = self._vector + (config["sgd_stepsize"] * gradient).astype(np.float32)
        return self._learned(gradient, rewards)
