"""RLModule: a net with a forward pass each for exploration, inference and training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...utils.lazy import lazily

__all__ = ["RLModule", "RLModuleSpec"]


class RLModule:
    """A subclass defines setup() and _forward(batch) -> {"action_dist_inputs": [n, size]}, or the three single
    passes; compute_values(batch, embeddings=None) -> [n] makes it usable with a critic."""

    def __init__(
        self,
        config: Any = None,
        *,
        observation_space: Any = None,
        action_space: Any = None,
        inference_only: bool | None = None,
        model_config: Any = None,
        catalog_class: Any = None,
        **kwargs: Any,
    ) -> None:
        self.observation_space = observation_space
        self.action_space = action_space
        self.inference_only = bool(inference_only)
        self.model_config = model_config
        self.setup()

    def setup(self) -> None:
        """Makes the layers. Spaces and model_config are there."""

    def _forward(self, batch: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no _forward()")

    def _forward_inference(self, batch: Any, **kwargs: Any) -> Any:
        return self._forward(batch, **kwargs)

    def _forward_exploration(self, batch: Any, **kwargs: Any) -> Any:
        return self._forward(batch, **kwargs)

    def _forward_train(self, batch: Any, **kwargs: Any) -> Any:
        return self._forward(batch, **kwargs)

    def forward_inference(self, batch: Any, **kwargs: Any) -> Any:
        return self._forward_inference(batch, **kwargs)

    def forward_exploration(self, batch: Any, **kwargs: Any) -> Any:
        return self._forward_exploration(batch, **kwargs)

    def forward_train(self, batch: Any, **kwargs: Any) -> Any:
        return self._forward_train(batch, **kwargs)

    def get_initial_state(self) -> Any:
        return {}

    def unwrapped(self) -> RLModule:
        return self


@dataclass
class RLModuleSpec:
    """What an RLModule is made of."""

    module_class: Any = None
    observation_space: Any = None
    action_space: Any = None
    inference_only: bool = False
    learner_only: bool = False
    model_config: Any = None
    catalog_class: Any = None
    load_state_path: str | None = None

    def build(self) -> Any:
        """The module."""
        return self.module_class(
            observation_space=self.observation_space,
            action_space=self.action_space,
            inference_only=self.inference_only,
            model_config=self.model_config,
        )


__getattr__ = lazily(__name__)  # names that are planned
