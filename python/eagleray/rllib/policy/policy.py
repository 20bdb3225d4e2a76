"""Policy: what maps observations to actions and learns from batches; the interface of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..utils.by_name import by_name
from ..utils.lazy import lazily
from .sample_batch import SampleBatch

__all__ = ["Policy", "PolicySpec"]


class PolicySpec(NamedTuple):
    """What a policy of several is made of. None: as the algorithm and the environment say."""

    policy_class: Any = None
    observation_space: Any = None
    action_space: Any = None
    config: Any = None


@by_name(
    policies_from_their_states="from_state",
    connectors="get_connector_metrics reset_connectors restore_connectors",
    replay="learn_on_batch_from_replay_buffer",
    batches_in_the_memory_of_a_GPU="load_batch_into_buffer get_num_samples_loaded_into_buffer learn_on_loaded_batch",
    weights_of_TensorFlow="import_model_from_h5",
    view_requirements="init_view_requirements maybe_remove_time_dimension",
)
class Policy:
    """Subclasses define compute_actions(), get_weights(), set_weights(), and learn_on_batch() if they learn.

    observation_space: of what the policy gets, after preprocessing. config: the algorithm's, with this
    policy's overrides.
    """

    framework = "numpy"
    # Whether act() takes the random numbers it needs, so that actions are the same in whatever vector.
    takes_noise = False
    needs_state = False
    # Whether workers add advantages and value targets to its batches.
    adds_advantages = True

    def __init__(self, observation_space: Any, action_space: Any, config: Any) -> None:
        self.observation_space = observation_space
        self.action_space = action_space
        self.config = config
        self.global_timestep = 0

    # Acting

    def compute_actions(
        self,
        obs_batch: Any,
        state_batches: Sequence[Any] | None = None,
        prev_action_batch: Any = None,
        prev_reward_batch: Any = None,
        info_batch: Any = None,
        episodes: Any = None,
        explore: bool | None = None,
        timestep: int | None = None,
        **kwargs: Any,
    ) -> tuple[Any, list[Any], dict[str, Any]]:
        """Actions of a batch of observations [n, ...], the next states [n, ...], and further columns
        (action_logp, action_dist_inputs, vf_preds) where the policy has them."""
        raise NotImplementedError(f"{type(self).__name__} has no compute_actions()")

    def compute_single_action(
        self,
        obs: Any,
        state: Sequence[Any] | None = None,
        prev_action: Any = None,
        prev_reward: Any = None,
        info: Any = None,
        explore: bool | None = None,
        **kwargs: Any,
    ) -> tuple[Any, list[Any], dict[str, Any]]:
        """compute_actions() of one observation, preprocessed already."""
        actions, states, extras = self.compute_actions(
            np.asarray(obs)[None],
            [np.asarray(part)[None] for part in state or []],
            None if prev_action is None else np.asarray(prev_action)[None],
            None if prev_reward is None else np.asarray([prev_reward], np.float32),
            explore=explore,
        )
        columns = getattr(self, "columns", None)
        first = actions[0] if columns is None else columns.one(actions, 0)
        return first, [part[0] for part in states], {key: value[0] for key, value in extras.items()}

    def compute_actions_from_input_dict(
        self, input_dict: Mapping[str, Any], explore: bool | None = None, **kwargs: Any
    ) -> tuple[Any, list[Any], dict[str, Any]]:
        """compute_actions() of columns: "obs", "state_in_0"..., "prev_actions", "prev_rewards"."""
        states: list[Any] = []
        while f"state_in_{len(states)}" in input_dict:
            states.append(input_dict[f"state_in_{len(states)}"])
        return self.compute_actions(
            input_dict["obs"],
            states,
            input_dict.get("prev_actions"),
            input_dict.get("prev_rewards"),
            explore=explore,
        )

    def compute_log_likelihoods(
        self, actions: Any, obs_batch: Any, state_batches: Any = None, **kwargs: Any
    ) -> Any:
        """log p of actions [n, ...] given observations: [n]."""
        raise NotImplementedError(f"{type(self).__name__} has no compute_log_likelihoods()")

    def get_exploration_state(self) -> dict[str, Any]:
        """What the way of exploring is at (the present epsilon...); {} where it has no state."""
        exploration: Any = getattr(self, "exploration", None)
        return {} if exploration is None else exploration.get_state()

    get_exploration_info = get_exploration_state

    def get_session(self) -> None:
        """None: there is no TensorFlow here."""

    def get_host(self) -> str:
        """The name of its machine."""
        import platform

        return platform.node()

    def loss(self, model: Any, dist_class: Any, train_batch: Any) -> Any:
        """What is minimised: a scalar."""
        raise NotImplementedError(f"{type(self).__name__} has no loss()")

    def get_initial_state(self) -> list[Any]:
        """The state of a recurrent policy at the start of an episode."""
        return []

    def is_recurrent(self) -> bool:
        return bool(self.get_initial_state())

    def num_state_tensors(self) -> int:
        return len(self.get_initial_state())

    def value_function(self, obs_batch: Any, state_batches: Sequence[Any] = ()) -> Any:
        """V of observations [n, ...]: float32 [n]. Zeros where there is no critic."""
        return np.zeros(len(obs_batch), np.float32)

    def postprocess_trajectory(
        self, sample_batch: SampleBatch, other_agent_batches: Any = None, episode: Any = None
    ) -> SampleBatch:
        """Changes one agent's trajectory of one fragment in the worker. Overriding it replaces the advantages
        that the algorithm would compute."""
        return sample_batch

    # Learning

    def learn_on_batch(self, samples: SampleBatch) -> dict[str, Any]:
        """One update from a batch; {"learner_stats": {...}}."""
        raise NotImplementedError(f"{type(self).__name__} does not learn")

    def compute_gradients(self, postprocessed_batch: SampleBatch) -> tuple[dict[str, Any], Any]:
        """The gradient of the loss over a batch, by weight, and {"learner_stats": ...}. Nothing changes."""
        raise NotImplementedError(f"{type(self).__name__} does not give gradients")

    def apply_gradients(self, gradients: Mapping[str, Any]) -> None:
        """A step of the optimiser along what compute_gradients() of a policy like this gave, clipped as configured."""
        raise NotImplementedError(f"{type(self).__name__} takes no gradients")

    def get_weights(self) -> Any:
        """A dict of arrays."""
        raise NotImplementedError(f"{type(self).__name__} has no weights")

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no weights")

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes weights from a state dict of PyTorch (tensors or arrays by name). KeyError: a name is missing or unknown."""
        self.set_weights({name: _array(value) for name, value in state_dict.items()})

    def get_state(self) -> dict[str, Any]:
        """Everything a checkpoint needs: weights, optimiser, coefficients."""
        return {"weights": self.get_weights(), "global_timestep": self.global_timestep}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.set_weights(state["weights"])
        self.global_timestep = state.get("global_timestep", 0)

    def on_global_var_update(self, global_vars: Mapping[str, Any]) -> None:
        """Time steps of the whole algorithm: what schedules go by."""
        self.global_timestep = int(global_vars["timestep"])

    def export_model(self, export_dir: str, onnx: int | None = None) -> None:
        """Writes the net to a directory: as TorchScript `model.pt`, or as `model.onnx` of this opset."""
        raise NotImplementedError(f"{type(self).__name__} cannot be exported")

    def export_checkpoint(self, export_dir: str) -> None:
        """Writes get_state() to a directory; Policy.from_checkpoint() reads it."""
        from ..utils.checkpoints import write_policy

        write_policy(export_dir, self)

    @staticmethod
    def from_checkpoint(checkpoint: Any, policy_ids: Sequence[str] | None = None) -> Any:
        """The policy of export_checkpoint(), or those of an algorithm's checkpoint by id."""
        from ..utils.checkpoints import read_policies

        return read_policies(checkpoint, policy_ids)

    def apply(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)


__getattr__ = lazily(__name__)  # names that are planned


def _array(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
