"""DefaultModelConfig: config["model"] as a dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["DefaultModelConfig"]


@dataclass
class DefaultModelConfig:
    """The settings of standard nets; docs/user/rllib.md has their meaning."""

    fcnet_hiddens: list[int] = field(default_factory=lambda: [256, 256])
    fcnet_activation: str = "tanh"
    conv_filters: Any = None
    conv_activation: str = "relu"
    vf_share_layers: bool = False
    free_log_std: bool = False
    use_lstm: bool = False
    max_seq_len: int = 20
    lstm_cell_size: int = 256
    post_fcnet_hiddens: list[int] = field(default_factory=list)
    post_fcnet_activation: str = "relu"
