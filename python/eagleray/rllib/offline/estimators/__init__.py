"""What another policy would have earned, from the experience of one: off-policy evaluation."""

from __future__ import annotations

from ...utils.lazy import lazily
from .estimator import ImportanceSampling, OffPolicyEstimator, WeightedImportanceSampling

__all__ = ["ImportanceSampling", "OffPolicyEstimator", "WeightedImportanceSampling"]
__getattr__ = lazily(__name__, {})
