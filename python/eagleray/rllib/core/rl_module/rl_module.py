"""RLModule: a net with a forward pass each for exploration, inference and training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...utils.by_name import by_name
from ...utils.lazy import lazily

__all__ = ["RLModule", "RLModuleSpec"]


@by_name(
    distributions_of_RLModules_of_one_s_own="get_inference_action_dist_cls get_exploration_action_dist_cls "
    "get_train_action_dist_cls",
    several_modules_in_one="as_multi_rl_module",
    components_of_checkpoints="get_ctor_args_and_kwargs",
    specifications_of_inputs="output_specs_train output_specs_inference output_specs_exploration input_specs_inference "
    "input_specs_exploration input_specs_train",
)
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

    def is_stateful(self) -> bool:
        """Whether it has memory: get_initial_state() gives something."""
        return bool(self.get_initial_state())

    def get_state(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Its weights by name, as arrays."""
        module: Any = self
        return {name: value.detach().cpu().numpy() for name, value in module.state_dict().items()}

    def set_state(self, state: Any) -> None:
        """Takes over what get_state() gave."""
        import torch

        module: Any = self
        module.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()})

    def unwrapped(self) -> RLModule:
        return self


@by_name(several_modules_in_one="as_multi_rl_module_spec", catalogs="get_rl_module_config")
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

    @classmethod
    def from_module(cls, module: Any) -> RLModuleSpec:
        """The spec of which a module was made."""
        return cls(
            type(module),
            module.observation_space,
            module.action_space,
            module.inference_only,
            model_config=module.model_config,
        )

    def to_dict(self) -> dict[str, Any]:
        """Its fields; the class as its dotted path, spaces as dicts."""
        from ...utils.serialization import serialize_type, space_to_dict

        out = dict(vars(self))
        for name in ("observation_space", "action_space"):
            out[name] = None if out[name] is None else space_to_dict(out[name])
        for name in ("module_class", "catalog_class"):
            out[name] = None if out[name] is None else serialize_type(out[name])
        return out

    @classmethod
    def from_dict(cls, d: Any) -> RLModuleSpec:
        """The inverse of to_dict()."""
        from ...utils.serialization import deserialize_type, space_from_dict

        given = dict(d)
        for name in ("observation_space", "action_space"):
            given[name] = None if given.get(name) is None else space_from_dict(given[name])
        for name in ("module_class", "catalog_class"):
            given[name] = None if given.get(name) is None else deserialize_type(given[name], True)
        return cls(**given)

    def update(self, other: Any, override: bool = True) -> None:
        """Takes the other's fields that are set; override False: only where its own are not."""
        for name, value in vars(other).items():
            if value is not None and (override or getattr(self, name) is None):
                setattr(self, name, value)

    def build(self) -> Any:
        """The module."""
        return self.module_class(
            observation_space=self.observation_space,
            action_space=self.action_space,
            inference_only=self.inference_only,
            model_config=self.model_config,
        )


__getattr__ = lazily(__name__)  # names that are planned
