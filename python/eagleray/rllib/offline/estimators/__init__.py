"""What another policy would have earned, from the experience of one: off-policy evaluation."""

from __future__ import annotations

from ...utils.lazy import lazily
from .estimator import ImportanceSampling, OffPolicyEstimator, WeightedImportanceSampling

_WITH_MODELS = ("DirectMethod", "DoublyRobust", "FQETorchModel")
__all__ = ["ImportanceSampling", "OffPolicyEstimator", "WeightedImportanceSampling"]
__getattr__ = lazily(__name__, dict.fromkeys(_WITH_MODELS, ".fitted_q"))
