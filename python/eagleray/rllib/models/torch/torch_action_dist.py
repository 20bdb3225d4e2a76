"""Distributions of actions over a net's outputs [n, size], one class a kind of space."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from ...utils.lazy import lazily

__all__ = [
    "TorchCategorical",
    "TorchBernoulli",
    "TorchBeta",
    "TorchDeterministic",
    "TorchDiagGaussian",
    "TorchDirichlet",
    "TorchDistributionWrapper",
    "TorchMultiActionDistribution",
    "TorchMultiCategorical",
    "TorchSquashedGaussian",
    "get_torch_categorical_class_with_temperature",
]


class TorchDistributionWrapper:
    """The base, for custom ones as well. A subclass defines deterministic_sample() and required_model_output_shape(),
    and `self.dist`, a distribution of PyTorch's, or all other methods itself. Actions are tensors [n, ...]."""

    def __init__(self, inputs: Any, model: Any = None) -> None:
        self.inputs = inputs
        self.model = model
        self.last_sample: Any = None

    dist: Any = None

    def sample(self) -> Any:
        self.last_sample = self._dist("sample").sample()
        return self.last_sample

    def deterministic_sample(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no deterministic_sample()")

    def logp(self, actions: Any) -> Any:
        return self._dist("logp").log_prob(actions)

    def sampled_action_logp(self) -> Any:
        return self.logp(self.last_sample)

    def entropy(self) -> Any:
        return self._dist("entropy").entropy()

    def kl(self, other: Any) -> Any:
        """KL(self || other), [n]."""
        return torch.distributions.kl.kl_divergence(self._dist("kl"), other.dist)

    def _dist(self, wanted_by: str) -> Any:
        if self.dist is None:
            raise NotImplementedError(
                f"{type(self).__name__} has neither {wanted_by}() nor self.dist, a torch.distributions.Distribution"
            )
        return self.dist

    def multi_entropy(self) -> Any:
        return self.entropy()

    def multi_kl(self, other: Any) -> Any:
        return self.kl(other)

    @staticmethod
    def required_model_output_shape(action_space: Any, model_config: Any) -> int:
        raise NotImplementedError("a distribution says how many outputs it needs")


class TorchCategorical(TorchDistributionWrapper):
    """Discrete: logits of each value."""

    def __init__(self, inputs: Any, model: Any = None, temperature: float = 1.0) -> None:
        super().__init__(inputs / temperature if temperature != 1.0 else inputs, model)
        self.logp_all = torch.log_softmax(self.inputs, dim=-1)

    def sample(self) -> Any:
        uniform = torch.rand_like(self.logp_all)
        gumbel = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        self.last_sample = (self.logp_all + gumbel).argmax(dim=-1)
        return self.last_sample

    def deterministic_sample(self) -> Any:
        self.last_sample = self.inputs.argmax(dim=-1)
        return self.last_sample

    def logp(self, actions: Any) -> Any:
        return self.logp_all.gather(-1, actions.long().reshape(-1, 1)).squeeze(-1)

    def entropy(self) -> Any:
        return -(self.logp_all.exp() * self.logp_all.clamp(min=-1e10)).sum(-1)

    def kl(self, other: Any) -> Any:
        terms = self.logp_all.exp() * (self.logp_all - other.logp_all).clamp(-1e10, 1e10)
        return terms.sum(-1)

    @staticmethod
    def required_model_output_shape(action_space: Any, model_config: Any) -> int:
        return int(action_space.n)


class TorchMultiCategorical(TorchDistributionWrapper):
    """MultiDiscrete: the logits of each part, one after the other."""

    def __init__(self, inputs: Any, model: Any, input_lens: Any, action_space: Any = None) -> None:
        super().__init__(inputs, model)
        self.cats = [TorchCategorical(part) for part in inputs.split(list(input_lens), dim=1)]

    def sample(self) -> Any:
        self.last_sample = torch.stack([cat.sample() for cat in self.cats], dim=1)
        return self.last_sample

    def deterministic_sample(self) -> Any:
        self.last_sample = torch.stack([cat.deterministic_sample() for cat in self.cats], dim=1)
        return self.last_sample

    def logp(self, actions: Any) -> Any:
        columns = actions.reshape(len(actions), -1).unbind(1)
        return sum(cat.logp(column) for cat, column in zip(self.cats, columns, strict=True))

    def entropy(self) -> Any:
        return sum(cat.entropy() for cat in self.cats)

    def kl(self, other: Any) -> Any:
        return sum(a.kl(b) for a, b in zip(self.cats, other.cats, strict=True))

    @staticmethod
    def required_model_output_shape(action_space: Any, model_config: Any) -> int:
        return int(np.sum(action_space.nvec))


class TorchDiagGaussian(TorchDistributionWrapper):
    """Box: means, then log standard deviations."""

    def __init__(self, inputs: Any, model: Any = None, action_space: Any = None) -> None:
        super().__init__(inputs, model)
        self.mean, self.log_std = inputs.chunk(2, dim=1)
        self.std = self.log_std.exp()
        self._shape = tuple(action_space.shape) if action_space is not None else None

    def _shaped(self, value: Any) -> Any:
        self.last_sample = value if self._shape is None else value.reshape(-1, *self._shape)
        return self.last_sample

    def sample(self) -> Any:
        return self._shaped(self.mean + self.std * torch.randn_like(self.mean))

    def deterministic_sample(self) -> Any:
        return self._shaped(self.mean)

    def logp(self, actions: Any) -> Any:
        distance = (actions.reshape(self.mean.shape) - self.mean) / self.std
        return (-0.5 * distance.square() - self.log_std - 0.5 * math.log(2 * math.pi)).sum(1)

    def entropy(self) -> Any:
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(1)

    def kl(self, other: Any) -> Any:
        ratio = (self.std.square() + (self.mean - other.mean).square()) / (2 * other.std.square())
        return (other.log_std - self.log_std + ratio - 0.5).sum(1)

    @staticmethod
    def required_model_output_shape(action_space: Any, model_config: Any) -> int:
        return 2 * int(np.prod(action_space.shape, dtype=int))


class TorchSquashedGaussian(TorchDiagGaussian):
    """A Gaussian through tanh, scaled to [low, high]."""

    def __init__(
        self, inputs: Any, model: Any = None, low: float = -1.0, high: float = 1.0
    ) -> None:
        super().__init__(inputs, model)
        self.log_std = self.log_std.clamp(-20, 2)
        self.std = self.log_std.exp()
        self._middle, self._half = (high + low) / 2, (high - low) / 2

    def sample(self) -> Any:
        self.last_sample = self._squash(self.mean + self.std * torch.randn_like(self.mean))
        return self.last_sample

    def deterministic_sample(self) -> Any:
        self.last_sample = self._squash(self.mean)
        return self.last_sample

    def _squash(self, raw: Any) -> Any:
        return self._middle + self._half * torch.tanh(raw)

    def logp(self, actions: Any) -> Any:
        inner = ((actions - self._middle) / self._half).clamp(-1 + 1e-6, 1 - 1e-6)
        correction = torch.log(self._half * (1 - inner.square()) + 1e-6).sum(1)
        return super().logp(torch.atanh(inner)) - correction


class TorchBernoulli(TorchDistributionWrapper):
    """MultiBinary: a logit for each bit."""

    def __init__(self, inputs: Any, model: Any = None) -> None:
        super().__init__(inputs, model)
        self.dist = torch.distributions.Bernoulli(logits=inputs)

    def sample(self) -> Any:
        self.last_sample = self.dist.sample()
        return self.last_sample

    def deterministic_sample(self) -> Any:
        self.last_sample = (self.inputs > 0).float()
        return self.last_sample

    def logp(self, actions: Any) -> Any:
        return self.dist.log_prob(actions.float().reshape(self.inputs.shape)).sum(1)

    def entropy(self) -> Any:
        return self.dist.entropy().sum(1)

    def kl(self, other: Any) -> Any:
        return torch.distributions.kl.kl_divergence(self.dist, other.dist).sum(1)

    @staticmethod
    def required_model_output_shape(action_space: Any, model_config: Any) -> int:
        return int(np.prod(action_space.shape, dtype=int))


class TorchBeta(TorchDistributionWrapper):
    """Box within [low, high]: alpha and beta of each number, as softplus(outputs) + 1."""

    def __init__(self, inputs: Any, model: Any = None, low: float = 0.0, high: float = 1.0) -> None:
        small = math.log(1e-6)
        inputs = torch.log(torch.exp(inputs.clamp(small, -small)) + 1.0) + 1.0
        super().__init__(inputs, model)
        self.low, self.high = low, high
        alpha, beta = inputs.chunk(2, dim=-1)
        self.dist = torch.distributions.Beta(concentration1=alpha, concentration0=beta)

    def _wide(self, value: Any) -> Any:
        self.last_sample = value * (self.high - self.low) + self.low
        return self.last_sample

    def sample(self) -> Any:
        return self._wide(self.dist.sample())

    def deterministic_sample(self) -> Any:
        return self._wide(self.dist.mean)

    def logp(self, actions: Any) -> Any:
        inner = (actions - self.low) / (self.high - self.low)
        return self.dist.log_prob(inner).sum(-1)

    def entropy(self) -> Any:
        return self.dist.entropy().sum(-1)

    def kl(self, other: Any) -> Any:
        return torch.distributions.kl.kl_divergence(self.dist, other.dist).sum(-1)

    @staticmethod
    def required_model_output_shape(action_space: Any, model_config: Any) -> int:
        return 2 * int(np.prod(action_space.shape, dtype=int))


class TorchDirichlet(TorchDistributionWrapper):
    """Simplex: numbers whose sum is one; the outputs are logarithms of concentrations."""

    def __init__(self, inputs: Any, model: Any = None) -> None:
        super().__init__(inputs, model)
        self.epsilon = 1e-7
        self.dist = torch.distributions.Dirichlet(torch.exp(inputs) + self.epsilon)

    def sample(self) -> Any:
        self.last_sample = self.dist.sample()
        return self.last_sample

    def deterministic_sample(self) -> Any:
        self.last_sample = torch.softmax(self.dist.concentration, dim=-1)
        return self.last_sample

    def logp(self, actions: Any) -> Any:
        inner = actions.clamp(min=self.epsilon)
        return self.dist.log_prob(inner / inner.sum(-1, keepdim=True))

    @staticmethod
    def required_model_output_shape(action_space: Any, model_config: Any) -> int:
        return int(np.prod(action_space.shape, dtype=int))


class TorchDeterministic(TorchDistributionWrapper):
    """The outputs are the action."""

    def deterministic_sample(self) -> Any:
        self.last_sample = self.inputs
        return self.inputs

    sample = deterministic_sample

    def logp(self, actions: Any) -> Any:
        return torch.zeros(len(self.inputs), device=self.inputs.device)

    def entropy(self) -> Any:
        return torch.zeros(len(self.inputs), device=self.inputs.device)

    @staticmethod
    def required_model_output_shape(action_space: Any, model_config: Any) -> int:
        return int(np.prod(action_space.shape, dtype=int))


class TorchMultiActionDistribution(TorchDistributionWrapper):
    """Tuple and Dict spaces: independent parts. Actions are tuples of tensors, in the order of the parts."""

    def __init__(self, inputs: Any, model: Any, children: Any, input_lens: Any) -> None:
        super().__init__(inputs, model)
        pieces = inputs.split(list(input_lens), dim=1)
        self.flat_child_distributions = [
            make(piece, model) for make, piece in zip(children, pieces, strict=True)
        ]

    def sample(self) -> Any:
        self.last_sample = tuple(child.sample() for child in self.flat_child_distributions)
        return self.last_sample

    def deterministic_sample(self) -> Any:
        self.last_sample = tuple(
            child.deterministic_sample() for child in self.flat_child_distributions
        )
        return self.last_sample

    def logp(self, actions: Any) -> Any:
        return sum(
            child.logp(action)
            for child, action in zip(self.flat_child_distributions, actions, strict=True)
        )

    def entropy(self) -> Any:
        return sum(child.entropy() for child in self.flat_child_distributions)

    def kl(self, other: Any) -> Any:
        return sum(
            a.kl(b)
            for a, b in zip(
                self.flat_child_distributions, other.flat_child_distributions, strict=True
            )
        )


def leaf_distribution(space: Any) -> tuple[Any, int]:
    """(factory(inputs, model), number of outputs) for a space without parts."""
    if isinstance(space, spaces.Discrete):
        return TorchCategorical, int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        lens = [int(n) for n in np.ravel(space.nvec)]
        return lambda inputs, model: TorchMultiCategorical(inputs, model, lens), sum(lens)
    if isinstance(space, spaces.MultiBinary):
        return TorchBernoulli, int(np.prod(space.shape, dtype=int))
    if type(space).__name__ == "Simplex":
        return TorchDirichlet, int(np.prod(space.shape, dtype=int))
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return (
            lambda inputs, model: TorchDiagGaussian(inputs, model, space),
            2 * int(np.prod(space.shape, dtype=int)),
        )
    raise ValueError(f"there is no distribution for the action space {space}")


def get_torch_categorical_class_with_temperature(t: float) -> type[TorchCategorical]:
    """A TorchCategorical whose logits are divided by `t`."""

    class TorchCategoricalWithTemperature(TorchCategorical):
        def __init__(self, inputs: Any, model: Any = None, temperature: float = t) -> None:
            super().__init__(inputs, model, temperature)

    return TorchCategoricalWithTemperature


__getattr__ = lazily(__name__)  # names that are planned
