"""TorchModelV2: the base of custom models, as users of Ray 1.x and 2.x write them."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...utils.by_name import by_name
from ..preprocessors import unflatten, was_flattened

__all__ = ["TorchModelV2"]


@by_name(
    weights_of_TensorFlow="import_from_h5 context", view_requirements="get_input_dict from_batch"
)
class TorchModelV2:
    """Derive from this and from nn.Module; define forward() and value_function().

    forward(input_dict, state, seq_lens) -> (outputs [n, num_outputs], state). input_dict["obs"] has the
    structure of the environment's space (Dict and Tuple parts by key), input_dict["obs_flat"] is [n, size].
    value_function() -> [n], of the last forward().
    """

    def __init__(
        self,
        obs_space: Any,
        action_space: Any,
        num_outputs: int | None,
        model_config: Any,
        name: str,
    ) -> None:
        self.obs_space = obs_space
        self.action_space = action_space
        self.num_outputs = num_outputs
        self.model_config = model_config
        self.name = name
        self.framework = "torch"
        self._last_output: Any = None

    def __call__(self, input_dict: Any, state: Any = None, seq_lens: Any = None) -> Any:
        given = dict(input_dict)
        flat = given["obs"]
        given["obs"] = restore_original_dimensions(flat, self.obs_space)
        given["obs_flat"] = flat.flatten(1) if hasattr(flat, "flatten") else flat
        outputs, state_out = self.forward(given, state or [], seq_lens)
        self._last_output = outputs
        return outputs, state_out

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def value_function(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no value_function()")

    def custom_loss(self, policy_loss: Any, loss_inputs: Any) -> Any:
        """Adds to the loss; gives what is minimised."""
        return policy_loss

    def metrics(self) -> dict[str, Any]:
        """Numbers for the learner's statistics, under "model"."""
        return {}

    def get_initial_state(self) -> list[Any]:
        """Tensors or arrays of one state, without a batch dimension; none for nets without memory."""
        return []

    def last_output(self) -> Any:
        return self._last_output

    def is_time_major(self) -> bool:
        return False

    def variables(self, as_dict: bool = False) -> Any:
        """All parameters: a list, or a dict by name."""
        state: dict[str, Any] = nn.Module.state_dict(self)
        return state if as_dict else list(state.values())

    def trainable_variables(self, as_dict: bool = False) -> Any:
        named = {
            name: value for name, value in nn.Module.named_parameters(self) if value.requires_grad
        }
        return named if as_dict else list(named.values())


def restore_original_dimensions(obs: Any, obs_space: Any, tensorlib: Any = None) -> Any:
    """Flattened observations in the structure of the environment's own space; others as they are."""
    original = getattr(obs_space, "original_space", None)
    return unflatten(original, obs) if was_flattened(original, obs_space) else obs
