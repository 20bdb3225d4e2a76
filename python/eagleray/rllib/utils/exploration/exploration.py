"""Ways of exploring. Each gives the logarithm of the probability (density) with which it chose, which algorithms that
learn from their own actions divide by; Ray gives zeros there.

Actions are those of the policy: bounded boxes within [-1, 1] where `normalize_actions` is set.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from ...models.catalog import flat_spaces
from ..schedules import PiecewiseSchedule, Schedule
from .names import exploration_type

__all__ = [
    "EpsilonGreedy",
    "Exploration",
    "GaussianNoise",
    "OrnsteinUhlenbeckNoise",
    "Random",
    "SoftQ",
    "StochasticSampling",
    "make_exploration",
]

_MASKED = -3.3e38  # logits from here on down mark actions that may not be chosen


class Exploration:
    """A subclass defines get_exploration_action(). policy_config: the algorithm's; model: the policy's net."""

    def __init__(
        self,
        action_space: Any,
        *,
        framework: str = "torch",
        policy_config: Any = None,
        model: Any = None,
        num_workers: int = 0,
        worker_index: int = 0,
        **settings: Any,
    ) -> None:
        if settings:
            from ..names import unknown

            known = [name for name in vars(type(self).__init__).get("__kwdefaults__", {}) or {}]
            raise ValueError(unknown("key of exploration_config", next(iter(settings)), known))
        self.action_space = action_space
        self.policy_config = policy_config or {}
        self.model = model
        self.framework = framework
        self.num_workers, self.worker_index = num_workers, worker_index
        self.last_timestep = 0

    def before_compute_actions(self, **_: Any) -> None:
        """Called before the net is asked."""

    def get_exploration_action(
        self, *, action_distribution: Any, timestep: int, explore: bool = True
    ) -> tuple[Any, Any]:
        """(actions, log probabilities [n]); a tuple of tensors for spaces with parts."""
        raise NotImplementedError(f"{type(self).__name__} has no get_exploration_action()")

    def get_state(self) -> dict[str, Any]:
        return {"last_timestep": self.last_timestep}

    def set_state(self, state: dict[str, Any]) -> None:
        self.last_timestep = state["last_timestep"]


def _greedy(distribution: Any) -> tuple[Any, Any]:
    actions = distribution.deterministic_sample()
    return actions, distribution.logp(actions)


class StochasticSampling(Exploration):
    """Draws from the policy's distribution; in the first `random_timesteps` steps of all uniformly."""

    def __init__(self, action_space: Any, *, random_timesteps: int = 0, **kwargs: Any) -> None:
        super().__init__(action_space, **kwargs)
        self.random_timesteps = random_timesteps
        self._uniform = Random(action_space, **kwargs) if random_timesteps else None

    def get_exploration_action(
        self, *, action_distribution: Any, timestep: int, explore: bool = True
    ) -> tuple[Any, Any]:
        self.last_timestep = timestep
        if not explore:
            return _greedy(action_distribution)
        if self._uniform is not None and timestep < self.random_timesteps:
            return self._uniform.draw(action_distribution)
        actions = action_distribution.sample()
        return actions, action_distribution.logp(actions)


class SoftQ(StochasticSampling):
    """Draws from the distribution with its logits divided by `temperature`. Discrete actions only."""

    def __init__(self, action_space: Any, *, temperature: float = 1.0, **kwargs: Any) -> None:
        super().__init__(action_space, **kwargs)
        _need(action_space, spaces.Discrete, "SoftQ")
        self.temperature = temperature

    def get_exploration_action(
        self, *, action_distribution: Any, timestep: int, explore: bool = True
    ) -> tuple[Any, Any]:
        made = type(action_distribution)
        tempered = made(action_distribution.inputs / self.temperature, self.model)
        return super().get_exploration_action(
            action_distribution=tempered, timestep=timestep, explore=explore
        )


class Random(Exploration):
    """Uniform over the space, whatever the policy says; boxes without bounds as the space itself draws them."""

    def __init__(self, action_space: Any, **kwargs: Any) -> None:
        super().__init__(action_space, **kwargs)
        self._nested = hasattr(action_space, "spaces")
        self._leaves = [_bounded(leaf, self.policy_config) for leaf in flat_spaces(action_space)]

    def get_exploration_action(
        self, *, action_distribution: Any, timestep: int, explore: bool = True
    ) -> tuple[Any, Any]:
        self.last_timestep = timestep
        return self.draw(action_distribution) if explore else _greedy(action_distribution)

    def draw(self, distribution: Any) -> tuple[Any, Any]:
        """Uniform actions for as many rows as the distribution has."""
        inputs = distribution.inputs
        rows, device = inputs.shape[0], inputs.device
        drawn, logp = [], torch.zeros(rows, device=device)
        for leaf in self._leaves:
            values = np.stack([np.asarray(leaf.sample()) for _ in range(rows)])
            if isinstance(leaf, spaces.Discrete):
                values = values - int(leaf.start)
            tensor = torch.as_tensor(values, device=device)
            drawn.append(tensor.float() if tensor.is_floating_point() else tensor)
            logp -= _log_volume(leaf)
        return (tuple(drawn) if self._nested else drawn[0]), logp


class EpsilonGreedy(Exploration):
    """The likeliest action, or with probability epsilon any that is not masked. Discrete actions only.

    epsilon: initial_epsilon for warmup_timesteps, then in a line to final_epsilon in epsilon_timesteps; or
    epsilon_schedule.
    """

    def __init__(
        self,
        action_space: Any,
        *,
        initial_epsilon: float = 1.0,
        final_epsilon: float = 0.05,
        warmup_timesteps: int = 0,
        epsilon_timesteps: int = 100000,
        epsilon_schedule: Schedule | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(action_space, **kwargs)
        _need(action_space, spaces.Discrete, "EpsilonGreedy")
        self.epsilon_schedule = epsilon_schedule or _falling(
            initial_epsilon, final_epsilon, warmup_timesteps, epsilon_timesteps
        )

    def get_exploration_action(
        self, *, action_distribution: Any, timestep: int, explore: bool = True
    ) -> tuple[Any, Any]:
        self.last_timestep = timestep
        best = action_distribution.deterministic_sample()
        if not explore:
            return best, action_distribution.logp(best)
        epsilon = float(self.epsilon_schedule(timestep))
        allowed = (action_distribution.inputs > _MASKED).float()
        anything = torch.multinomial(allowed, 1).squeeze(1)
        chance = torch.rand(len(best), device=best.device) < epsilon
        actions = torch.where(chance, anything, best)
        share = epsilon / allowed.sum(1)
        return actions, torch.log((actions == best) * (1 - epsilon) + share)

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "cur_epsilon": self.epsilon_schedule(self.last_timestep)}


class GaussianNoise(Exploration):
    """The likeliest action and normal noise of deviation stddev * scale, clipped to the bounds; uniform in the first
    `random_timesteps`. Box actions only. scale: from initial_scale to final_scale in scale_timesteps."""

    def __init__(
        self,
        action_space: Any,
        *,
        random_timesteps: int = 1000,
        stddev: float = 0.1,
        initial_scale: float = 1.0,
        final_scale: float = 0.02,
        scale_timesteps: int = 10000,
        scale_schedule: Schedule | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(action_space, **kwargs)
        _need(action_space, spaces.Box, type(self).__name__)
        self.random_timesteps, self.stddev = random_timesteps, stddev
        self.scale_schedule = scale_schedule or _falling(
            initial_scale, final_scale, random_timesteps, scale_timesteps
        )
        self._uniform = Random(action_space, **kwargs)
        box = _bounded(action_space, self.policy_config)
        self._low, self._high = (torch.as_tensor(side).float() for side in (box.low, box.high))

    def get_exploration_action(
        self, *, action_distribution: Any, timestep: int, explore: bool = True
    ) -> tuple[Any, Any]:
        self.last_timestep = timestep
        if not explore:
            return _greedy(action_distribution)
        if timestep < self.random_timesteps:
            return self._uniform.draw(action_distribution)
        best = action_distribution.deterministic_sample()
        noise, logp = self._noise(best, float(self.scale_schedule(timestep)))
        low, high = self._low.to(best.device), self._high.to(best.device)
        return torch.minimum(torch.maximum(best + noise, low), high), logp

    def _noise(self, best: Any, scale: float) -> tuple[Any, Any]:
        """Noise of each row, and the logarithm of its density before it is clipped."""
        deviation = self.stddev * scale
        noise = torch.randn_like(best) * deviation
        return noise, _normal_logp(noise, deviation)

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "cur_scale": self.scale_schedule(self.last_timestep)}


class OrnsteinUhlenbeckNoise(GaussianNoise):
    """The same with noise that wanders from step to step: x += theta * -x + sigma * normal, times ou_base_scale and the
    width of the space."""

    def __init__(
        self,
        action_space: Any,
        *,
        ou_theta: float = 0.15,
        ou_sigma: float = 0.2,
        ou_base_scale: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(action_space, **kwargs)
        self.ou_theta, self.ou_sigma, self.ou_base_scale = ou_theta, ou_sigma, ou_base_scale
        self.ou_state = torch.zeros(self._low.shape)
        width = self._high - self._low
        self._width = torch.where(torch.isfinite(width), width, torch.ones_like(width))

    def _noise(self, best: Any, scale: float) -> tuple[Any, Any]:
        state, width = self.ou_state.to(best.device), self._width.to(best.device)
        step = torch.randn_like(state)
        kept = state * (1 - self.ou_theta)
        state = kept + self.ou_sigma * scale * step
        self.ou_state = state.cpu()
        factor = scale * self.ou_base_scale * width
        deviation = (self.ou_sigma * scale * factor).expand_as(best)
        noise = (factor * state).expand_as(best)
        return noise, _normal_logp(noise - factor * kept, deviation)

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "ou_state": self.ou_state.numpy()}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.ou_state = torch.as_tensor(state["ou_state"])


def _normal_logp(noise: Any, deviation: Any) -> Any:
    scaled = noise / deviation
    logs = torch.log(torch.as_tensor(deviation, device=noise.device))
    density = -0.5 * scaled.square() - logs - 0.5 * math.log(2 * math.pi)
    return density.flatten(1).sum(1)


def _need(space: Any, kind: Any, name: str) -> None:
    if not isinstance(space, kind):
        raise ValueError(f"exploration by {name} is for {kind.__name__} actions, not for {space}")


def _falling(start: float, end: float, wait: int, steps: int) -> Schedule:
    points = [(0, start), (wait, start), (wait + steps, end)]
    return PiecewiseSchedule(points if wait else points[1:], outside_value=end)


def _bounded(leaf: Any, config: Any) -> Any:
    """A box in the policy's own measure."""
    if not isinstance(leaf, spaces.Box) or not np.issubdtype(leaf.dtype, np.floating):
        return leaf
    finite = np.all(np.isfinite(leaf.low)) and np.all(np.isfinite(leaf.high))
    if finite and config.get("normalize_actions", True):
        return spaces.Box(-1.0, 1.0, leaf.shape, np.float32)
    return leaf


def _log_volume(leaf: Any) -> float:
    if isinstance(leaf, spaces.Discrete):
        return math.log(int(leaf.n))
    if isinstance(leaf, spaces.MultiDiscrete):
        return float(np.log(leaf.nvec).sum())
    if isinstance(leaf, spaces.MultiBinary):
        return math.log(2) * int(np.prod(leaf.shape))
    width = np.asarray(leaf.high, np.float64) - leaf.low
    return float(np.log(width).sum()) if np.all(np.isfinite(width)) else 0.0


def make_exploration(config: Any, action_space: Any, model: Any) -> Exploration:
    """What config["exploration_config"] says for a policy. ValueError: it is not for this space."""
    settings = dict(config["exploration_config"] or {})
    kind = exploration_type(settings)
    settings.pop("type", None)
    made: Any = globals()[kind] if isinstance(kind, str) else kind
    return made(
        action_space,
        framework="torch",
        policy_config=config,
        model=model,
        num_workers=config["num_env_runners"],
        worker_index=0,
        **settings,
    )
