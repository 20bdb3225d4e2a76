"""Nets, distributions, preprocessors."""

from __future__ import annotations

from ..utils.lazy import lazily
from .defaults import MODEL_DEFAULTS

_PLACES = {"ModelCatalog": ".catalog", "Preprocessor": ".preprocessors"}
_TORCH = {
    "ActionDistribution": ".torch.torch_action_dist:TorchDistributionWrapper",
    "ModelV2": ".torch.torch_modelv2:TorchModelV2",
}
__all__ = ["MODEL_DEFAULTS", *_PLACES]
__getattr__ = lazily(__name__, {**_PLACES, **_TORCH})
