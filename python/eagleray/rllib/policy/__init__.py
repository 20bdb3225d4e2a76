"""Policies and batches. TorchPolicy is here, too, where PyTorch is installed."""

from __future__ import annotations

from ..utils.lazy import lazily

_PLACES = {
    "MultiAgentBatch": ".sample_batch",
    "Policy": ".policy",
    "PolicySpec": ".policy",
    "SampleBatch": ".sample_batch",
}
__all__ = list(_PLACES)
__getattr__ = lazily(__name__, {**_PLACES, "TorchPolicy": ".torch_policy"})
