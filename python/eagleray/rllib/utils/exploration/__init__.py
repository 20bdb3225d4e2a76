"""How actions are chosen while sampling: `exploration_config`."""

from __future__ import annotations

from ..lazy import lazily

_PLACES = dict.fromkeys(
    (
        "EpsilonGreedy",
        "Exploration",
        "GaussianNoise",
        "OrnsteinUhlenbeckNoise",
        "Random",
        "SoftQ",
        "StochasticSampling",
    ),
    ".exploration",
)
__all__ = list(_PLACES)
__getattr__ = lazily(__name__, _PLACES)
