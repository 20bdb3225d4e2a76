"""Parts of nets with attention, and what makes a user's module a policy's model."""

from __future__ import annotations

from ....utils.lazy import lazily

_PLACES = {
    "GRUGate": "..attention",
    "MultiHeadAttention": "..attention",
    "RelativeMultiHeadAttention": "..attention",
    "RelativePositionEmbedding": "..attention",
    "SkipConnection": "..attention",
    "ModuleModel": "..user_modules",
    "RLModuleModel": "..user_modules",
    "model_of_rl_module": "..user_modules",
}
__all__ = ["GRUGate", "MultiHeadAttention", "RelativeMultiHeadAttention", "SkipConnection"]
__getattr__ = lazily(__name__, _PLACES)
