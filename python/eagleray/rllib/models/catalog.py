"""ModelCatalog: from spaces and config["model"] to nets, distributions and preprocessors; and the user's own."""

from __future__ import annotations

import inspect
from typing import Any

from ..utils.by_name import by_name
from .defaults import MODEL_DEFAULTS
from .preprocessors import Preprocessor, get_preprocessor_for_space

__all__ = ["MODEL_DEFAULTS", "ModelCatalog"]


@by_name(TensorFlow="get_action_placeholder")
class ModelCatalog:
    """Static; what is registered is known in every process of the job."""

    @staticmethod
    def register_custom_model(model_name: str, model_class: Any) -> None:
        """Makes `config["model"]["custom_model"] = model_name` use a TorchModelV2 or any nn.Module."""
        _register("RLLIB_MODEL", model_name, model_class)

    @staticmethod
    def register_custom_action_dist(action_dist_name: str, action_dist_class: Any) -> None:
        """Makes `config["model"]["custom_action_dist"] = action_dist_name` use this distribution."""
        _register("RLLIB_ACTION_DIST", action_dist_name, action_dist_class)

    @staticmethod
    def register_custom_preprocessor(preprocessor_name: str, preprocessor_class: Any) -> None:
        """Makes `config["model"]["custom_preprocessor"] = preprocessor_name` use this Preprocessor."""
        _register("RLLIB_PREPROCESSOR", preprocessor_name, preprocessor_class)

    @staticmethod
    def get_preprocessor(env: Any, options: dict[str, Any] | None = None) -> Preprocessor:
        return get_preprocessor_for_space(env.observation_space, options)

    @staticmethod
    def get_preprocessor_for_space(
        space: Any, options: dict[str, Any] | None = None
    ) -> Preprocessor:
        return get_preprocessor_for_space(space, options)

    @staticmethod
    def get_action_shape(
        action_space: Any, framework: str = "torch"
    ) -> tuple[Any, tuple[Any, ...]]:
        """(dtype, shape) of a batch's actions; the first of the shape is None."""
        from ..policy.action_columns import ActionColumns

        columns = ActionColumns(action_space)
        return columns.dtype, (None, *columns.shape)

    @staticmethod
    def get_action_dist(
        action_space: Any,
        config: Any,
        dist_type: Any = None,
        framework: str = "torch",
        **kwargs: Any,
    ) -> tuple[Any, int]:
        """(factory(inputs, model), number of the net's outputs) for an action space."""
        from gymnasium import spaces

        from .torch import torch_action_dist as dists

        custom = (config or {}).get("custom_action_dist")
        if custom:
            made = lookup("RLLIB_ACTION_DIST", custom)
            return made, int(made.required_model_output_shape(action_space, config))
        if dist_type == "deterministic":
            made = dists.TorchDeterministic
            return made, made.required_model_output_shape(action_space, config)
        if isinstance(action_space, spaces.Tuple | spaces.Dict):
            leaves = [dists.leaf_distribution(leaf) for leaf in flat_spaces(action_space)]
            children, lens = [leaf[0] for leaf in leaves], [leaf[1] for leaf in leaves]
            return (
                lambda inputs, model: dists.TorchMultiActionDistribution(
                    inputs, model, children, lens
                ),
                sum(lens),
            )
        return dists.leaf_distribution(action_space)

    @staticmethod
    def get_model_v2(
        obs_space: Any,
        action_space: Any,
        num_outputs: int,
        model_config: Any,
        framework: str = "torch",
        name: str = "default_model",
        **kwargs: Any,
    ) -> Any:
        """The net: the user's own, or convolutions for images, or layers; before an LSTM if the config says so."""
        from .torch.fcnet import LSTMNetwork

        config = {**MODEL_DEFAULTS, **(model_config or {})}
        recurrent = config["use_lstm"] or config["use_attention"]
        inner_outputs = None if recurrent else num_outputs
        custom = config["custom_model"]
        if custom:
            inner = _custom(custom, obs_space, action_space, num_outputs, config, name)
        else:
            inner = _standard(obs_space, config)(
                obs_space, action_space, inner_outputs, config, name
            )
        if not recurrent:
            return inner
        previous = sum(action_width(leaf) for leaf in flat_spaces(action_space))
        if config["use_attention"]:
            from .torch.attention import AttentionNetwork

            return AttentionNetwork(
                obs_space, action_space, num_outputs, config, name, inner, previous
            )
        return LSTMNetwork(obs_space, action_space, num_outputs, config, name, inner, previous)


def flat_spaces(space: Any) -> list[Any]:
    """The spaces without parts of a nested one, in the order in which actions are flattened."""
    from .preprocessors import parts_of

    if hasattr(space, "spaces"):
        return [leaf for _, part in parts_of(space) for leaf in flat_spaces(part)]
    return [space]


def action_width(leaf: Any) -> int:
    """Numbers of an action as an input of a net: one-hot where it is discrete."""
    from .preprocessors import flat_size

    return flat_size(leaf)


def _standard(obs_space: Any, config: Any) -> Any:
    from .torch.fcnet import FullyConnectedNetwork, VisionNetwork

    images = len(obs_space.shape) == 3
    return VisionNetwork if images else FullyConnectedNetwork


def _custom(
    custom: Any,
    obs_space: Any,
    action_space: Any,
    num_outputs: int,
    config: dict[str, Any],
    name: str,
) -> Any:
    from .torch.modules import ModuleModel
    from .torch.torch_modelv2 import TorchModelV2

    made = lookup("RLLIB_MODEL", custom)
    options = config["custom_model_config"] or {}
    if not isinstance(made, type) or not issubclass(made, TorchModelV2):
        return ModuleModel(obs_space, action_space, num_outputs, config, name, made)
    parameters = inspect.signature(made.__init__).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    accepted = {key: value for key, value in options.items() if takes_all or key in parameters}
    return made(obs_space, action_space, num_outputs, config, name, **accepted)


def _register(category: str, name: str, value: Any) -> None:
    from eagleray.tune import registry

    registry._global_registry.register(getattr(registry, category), name, value)


def lookup(category: str, name: Any) -> Any:
    """A registered class by its name, or the class itself. ValueError: nothing is registered so."""
    if not isinstance(name, str):
        return name
    from eagleray.tune import registry

    try:
        return registry._global_registry.get(getattr(registry, category), name)
    except KeyError:
        what = category.removeprefix("RLLIB_").lower().replace("action_dist", "action distribution")
        raise ValueError(
            f"no custom {what} is registered as {name!r}; "
            f"ModelCatalog.register_custom_{category.removeprefix('RLLIB_').lower()}({name!r}, cls) does that"
        ) from None
