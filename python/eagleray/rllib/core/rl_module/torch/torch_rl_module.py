"""TorchRLModule: an RLModule that is an nn.Module."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..rl_module import RLModule

__all__ = ["TorchRLModule"]


class TorchRLModule(RLModule, nn.Module):
    """See RLModule; layers are made in setup()."""

    framework = "torch"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        nn.Module.__init__(self)
        RLModule.__init__(self, *args, **kwargs)

    def forward(self, batch: Any, **kwargs: Any) -> Any:
        return self.forward_train(batch, **kwargs)
