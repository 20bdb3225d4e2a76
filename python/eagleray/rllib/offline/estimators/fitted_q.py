"""Estimators with a model of their own: a net that learns, from the experience, what each action is worth under the
target policy (fitted Q evaluation), and what may be made of it. Discrete actions only. Follow `ray.rllib.offline.estimators`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from ...models.torch.misc import activation
from ...policy.sample_batch import SampleBatch, convert_ma_batch_to_sample_batch
from .estimator import OffPolicyEstimator

__all__ = ["DirectMethod", "DoublyRobust", "FQETorchModel"]

HIDDENS = (32, 32, 32)


class FQETorchModel:
    """Q(s, a) of a policy. train(batch) goes on from where it is.

    model_config: "fcnet_hiddens" and "fcnet_activation" of the net. n_iters: passes over a batch. lr: Adam's.
    min_loss_threshold: a pass with less ends the training on this batch. clip_grad_norm: of a step. minibatch_size: None:
    the whole batch. polyak_coef: how much of the net its target takes over after each pass.
    ValueError: the policy's actions are not Discrete.
    """

    def __init__(
        self,
        policy: Any,
        gamma: float,
        model_config: dict[str, Any] | None = None,
        n_iters: int = 1,
        lr: float = 1e-3,
        min_loss_threshold: float = 1e-4,
        clip_grad_norm: float = 100.0,
        minibatch_size: int | None = None,
        polyak_coef: float = 1.0,
    ) -> None:
        if type(policy.action_space).__name__ != "Discrete":
            raise ValueError("fitted Q evaluation is for Discrete actions only")
        self.policy, self.gamma = policy, gamma
        self.n_iters, self.min_loss_threshold = n_iters, min_loss_threshold
        self.minibatch_size, self.polyak_coef = minibatch_size, polyak_coef
        self.clip_grad_norm = clip_grad_norm
        self._actions = int(policy.action_space.n)
        self.q_model = self._net(model_config or {})
        self.target_q_model = copy.deepcopy(self.q_model)
        self.optimizer = torch.optim.Adam(self.q_model.parameters(), lr)

    def _net(self, config: dict[str, Any]) -> Any:
        between = activation(config.get("fcnet_activation", "relu")) or torch.nn.Identity
        width = int(np.prod(self.policy.observation_space.shape, dtype=int))
        layers: list[Any] = []
        for hidden in config.get("fcnet_hiddens", HIDDENS):
            layers += [torch.nn.Linear(width, hidden), between()]
            width = hidden
        return torch.nn.Sequential(*layers, torch.nn.Linear(width, self._actions))

    def train(self, batch: Any) -> list[float]:
        """Learns from a batch with `new_obs` and `terminateds`; the mean loss of each pass."""
        missing = [c for c in (SampleBatch.NEXT_OBS, SampleBatch.TERMINATEDS) if c not in batch]
        if missing:
            raise ValueError(
                f"fitted Q evaluation needs {' and '.join(missing)}, which the experience has not"
            )
        obs, following = _rows(batch[SampleBatch.OBS]), _rows(batch[SampleBatch.NEXT_OBS])
        actions = torch.as_tensor(np.asarray(batch[SampleBatch.ACTIONS], np.int64)).reshape(-1, 1)
        rewards = torch.as_tensor(np.asarray(batch[SampleBatch.REWARDS], np.float32))
        goes_on = torch.as_tensor(1.0 - np.asarray(batch[SampleBatch.TERMINATEDS], np.float32))
        then = self._action_probs(batch[SampleBatch.NEXT_OBS])
        losses: list[float] = []
        for _ in range(self.n_iters):
            with torch.no_grad():
                values = (self.target_q_model(following) * then).sum(-1)
                targets = rewards + goes_on * self.gamma * values
            ones = []
            for rows in torch.randperm(len(obs)).split(self.minibatch_size or len(obs)):
                found = self.q_model(obs[rows]).gather(1, actions[rows]).squeeze(1)
                loss = ((targets[rows] - found) ** 2).mean()
                self.optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.q_model.parameters(), self.clip_grad_norm)
                self.optimizer.step()
                ones.append(float(loss.detach()))
            losses.append(float(np.mean(ones)))
            if losses[-1] < self.min_loss_threshold:
                break
            self._update_target()
        return losses

    def _update_target(self) -> None:
        with torch.no_grad():
            for old, new in zip(
                self.target_q_model.parameters(), self.q_model.parameters(), strict=True
            ):
                old.lerp_(new, self.polyak_coef)

    def estimate_q(self, batch: Any) -> Any:
        """Q(s, a) of each row."""
        actions = np.asarray(batch[SampleBatch.ACTIONS], np.int64).reshape(-1, 1)
        return np.take_along_axis(self._values(batch), actions, axis=1)[:, 0]

    def estimate_v(self, batch: Any) -> Any:
        """The mean of Q(s, .) under the policy, of each row."""
        probabilities = self._action_probs(batch[SampleBatch.OBS]).numpy()
        return (self._values(batch) * probabilities).sum(-1)

    def _values(self, batch: Any) -> Any:
        with torch.no_grad():
            return self.q_model(_rows(batch[SampleBatch.OBS])).numpy()

    def _action_probs(self, obs: Any) -> Any:
        """pi(a|s) of each action: [n, actions]."""
        columns = [
            self.policy.compute_log_likelihoods(np.full(len(obs), action), obs)
            for action in range(self._actions)
        ]
        logs = [np.asarray(column, np.float32).reshape(-1) for column in columns]
        return torch.as_tensor(np.exp(np.stack(logs, axis=1)))


def _rows(obs: Any) -> Any:
    return torch.as_tensor(np.asarray(obs, np.float32).reshape(len(obs), -1))


class DirectMethod(OffPolicyEstimator):
    """ "dm": the value of an episode's first state, by the model alone. q_model_config: of FQETorchModel; "type": another
    class with train() and estimate_v(). epsilon_greedy is not in the model, as in Ray."""

    def __init__(
        self,
        policy: Any,
        gamma: float = 0.0,
        epsilon_greedy: float = 0.0,
        q_model_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(policy, gamma, epsilon_greedy)
        config = dict(q_model_config or {})
        made = config.pop("type", FQETorchModel)
        self.model = made(policy=policy, gamma=gamma, **config)

    def train(self, batch: Any) -> dict[str, Any]:
        return {"loss": float(np.mean(self.model.train(convert_ma_batch_to_sample_batch(batch))))}

    def estimate_on_single_episode(self, episode: SampleBatch) -> dict[str, float]:
        values = np.asarray(self.model.estimate_v(episode.slice(0, 1)))
        return {**self._weighed(episode, 0.0), "v_target": float(values[0])}


class DoublyRobust(DirectMethod):
    """ "dr": the model's value, and what the rewards say that it misses, weighed by how much likelier the target policy's
    actions are. As good as the better of the two. normalize_weights: of data sets in Ray; without effect here."""

    def __init__(
        self,
        policy: Any,
        gamma: float = 0.0,
        epsilon_greedy: float = 0.0,
        normalize_weights: bool = True,
        q_model_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(policy, gamma, epsilon_greedy, q_model_config)

    def estimate_on_single_episode(self, episode: SampleBatch) -> dict[str, float]:
        ratios = self._ratios_of_steps(episode)
        q_values, values = self.model.estimate_q(episode), self.model.estimate_v(episode)
        target = 0.0
        for t in reversed(range(episode.count)):
            missed = episode[SampleBatch.REWARDS][t] + self.gamma * target - q_values[t]
            target = float(values[t] + ratios[t] * missed)
        return {**self._weighed(episode, 0.0), "v_target": target}
