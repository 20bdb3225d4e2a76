"""MARWIL (Wang et al., 2018): imitation of recorded experience, better actions more than worse ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...evaluation.postprocessing import compute_advantages
from ...offline.estimators.estimator import make_estimators
from ...offline.readers import make_reader
from ...policy.actions import normalize_action
from ...policy.sample_batch import MultiAgentBatch, concat_samples
from ..algorithm import Algorithm
from ..algorithm_config import AlgorithmConfig

__all__ = ["MARWIL", "MARWILConfig"]


class MARWILConfig(AlgorithmConfig):
    """The settings of MARWIL, with Ray's defaults; input: where the experience is (docs/user/rllib.md)."""

    OWN = {
        "lr": 1e-4,
        "num_env_runners": 0,
        "train_batch_size": 2000,
        "beta": 1.0,
        "bc_logstd_coeff": 0.0,
        "vf_coeff": 1.0,
        "moving_average_sqd_adv_norm_update_rate": 1e-8,
        "moving_average_sqd_adv_norm_start": 100.0,
        "use_gae": False,
        "use_critic": True,
        "lambda_": 1.0,
        "postprocess_inputs": True,
    }

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class=algo_class or MARWIL)

    def validate(self) -> None:
        super().validate()
        if self["beta"] < 0:
            raise ValueError(f"beta must be >= 0, not {self['beta']}")
        if self["input"] == "sampler":
            raise ValueError("this algorithm learns from recorded experience: set input to a path")


class MARWIL(Algorithm):
    """One gradient step a batch of train_batch_size recorded steps."""

    _config_class: Any = MARWILConfig
    reads_input = True

    @classmethod
    def get_default_policy_class(cls, config: Any) -> Any:
        from ...policy.actor_critic_torch_policies import MARWILTorchPolicy

        return MARWILTorchPolicy

    def setup(self, config: Any) -> None:
        super().setup(config)
        config = self._algorithm_config
        self._reader = make_reader(config, self.workers.local_worker())
        self._estimators = make_estimators(
            config["off_policy_estimation_methods"], self.get_policy(), config["gamma"]
        )
        self._estimates: dict[str, Any] = {}

    def step(self) -> dict[str, Any]:
        result = super().step()
        result["off_policy_estimator"] = self._estimates
        return result

    def training_step(self) -> dict[str, Any]:
        config = self._algorithm_config
        read: list[Any] = []
        steps = 0
        while steps < config.total_train_batch_size:
            batch = self._reader.next()
            if isinstance(batch, MultiAgentBatch):
                raise NotImplementedError("experience of several agents cannot be learned from yet")
            read.append(self._as_chosen(batch))
            steps += batch.count
        files = [batch for batch in read if not getattr(batch, "sampled", False)]
        if self._estimators and files:
            recorded = concat_samples(files)
            for estimator in self._estimators.values():
                estimator.train(recorded)
            self._estimates = {
                name: estimator.estimate(recorded) for name, estimator in self._estimators.items()
            }
        batch = concat_samples([part for batch in read for part in self._with_returns(batch)])
        self._counters["num_env_steps_sampled"] += batch.count
        self._counters["num_agent_steps_sampled"] += batch.count
        return self.learn(batch, 1, None)

    def _is_of_env(self, batch: Any) -> bool:
        """Whether its actions are as the environment takes them, not as the policy gives them."""
        normalized = self._algorithm_config["actions_in_input_normalized"]
        return not getattr(batch, "sampled", False) and not normalized

    def _as_chosen(self, batch: Any) -> Any:
        if not self._is_of_env(batch):
            return batch
        chosen = self.get_policy().columns.chosen(batch["actions"])
        return type(batch)({**batch, "actions": chosen})  # the reader may give it again

    @property
    def _normalizes(self) -> bool:
        """Whether the policy has actions within [-1, 1], whatever the environment's bounds are."""
        config = self._algorithm_config
        space: Any = self.get_policy().action_space
        if not config["normalize_actions"]:
            return False
        bounds = (getattr(space, "low", np.inf), getattr(space, "high", np.inf))
        return all(bool(np.all(np.isfinite(bound))) for bound in bounds)

    def _with_returns(self, batch: Any) -> list[Any]:
        """Trajectories with discounted returns as advantages, and only the columns that learning needs."""
        config = self._algorithm_config
        out = []
        normalizes = self._is_of_env(batch) and self._normalizes
        space = self.get_policy().action_space
        for part in batch.split_by_episode():
            if normalizes:
                actions = normalize_action(part["actions"], space)
                part = type(part)({**part, "actions": actions})
            if config["beta"] != 0.0 and config["postprocess_inputs"]:
                part = compute_advantages(
                    part, 0.0, config["gamma"], 1.0, use_gae=False, use_critic=False
                )
            out.append(
                type(part)(
                    {key: part[key] for key in ("obs", "actions", "advantages") if key in part}
                )
            )
        return out
