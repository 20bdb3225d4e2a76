"""Which ways of exploring there are, without importing torch."""

from __future__ import annotations

from typing import Any

__all__ = ["BUILT", "exploration_type", "is_plain"]

BUILT = (
    "StochasticSampling",
    "Random",
    "EpsilonGreedy",
    "GaussianNoise",
    "OrnsteinUhlenbeckNoise",
    "SoftQ",
)
_LATER = (
    "Curiosity ParameterNoise PerWorkerEpsilonGreedy PerWorkerGaussianNoise PerWorkerOrnsteinUhlenbeckNoise RE3 "
    "SlateEpsilonGreedy SlateSoftQ ThompsonSampling UpperConfidenceBound"
).split()


def exploration_type(settings: Any) -> Any:
    """What `exploration_config["type"]` says: a name of BUILT, or a class of the user's. NotImplementedError: one of
    Ray's that is not here; ValueError: unknown."""
    kind = (settings or {}).get("type", "StochasticSampling")
    if isinstance(kind, type):
        return kind.__name__ if kind.__module__.startswith("eagleray.rllib.utils.explor") else kind
    name = str(kind).rpartition(".")[2]
    if name in BUILT:
        return name
    if name in _LATER:
        raise NotImplementedError(
            f"exploration_config type {kind!r} is not implemented yet; there are {', '.join(BUILT)}"
        )
    from ..names import unknown

    raise ValueError(unknown("exploration_config type", kind, BUILT))


def is_plain(settings: Any) -> bool:
    """Whether actions are just drawn from the policy's distribution: what native policies do."""
    given = settings or {}
    return exploration_type(given) == "StochasticSampling" and not given.get("random_timesteps")
