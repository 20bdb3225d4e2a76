"""NativePolicy: a plain MLP that acts and learns in C++ (eagleray._rl). No torch, no gymnasium."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._native import learner_reason, rl, threads
from ..utils.schedules import schedule_of
from .policy import Policy
from .sample_batch import SampleBatch

__all__ = ["NativePolicy", "made_mlp", "names_in_torch"]

_WHOLE_BATCH = 1 << 30


class NativePolicy(Policy):
    """Which loss it learns by is the algorithm's `native_loss`: "ppo", "a2c" or "pg".

    Its random numbers are a function of (seed, environment, step), so that a run with a seed is the same bits
    whatever the number of workers.
    """

    framework = "native"
    takes_noise = True

    def __init__(self, observation_space: Any, action_space: Any, config: Any) -> None:
        super().__init__(observation_space, action_space, config)
        reason = learner_reason(config, observation_space, action_space)
        if reason is not None:
            raise ValueError(f"learner_backend='native' cannot be: {reason}")
        self._seed = (
            config["seed"]
            if config["seed"] is not None
            else int(np.random.default_rng().integers(1 << 31))
        )
        self.mlp = made_mlp(observation_space, action_space, config, self._seed)
        self._lr = schedule_of(config["lr_schedule"], config["lr"])
        self._entropy = schedule_of(
            config.get("entropy_coeff_schedule"), config.get("entropy_coeff", 0.0)
        )
        self._critic = bool(config.get("use_critic", True))
        self._learner: Any = None
        self._shape: tuple[int, int] | None = None
        self._acted = 0

    @property
    def columns(self) -> Any:
        from .action_columns import ActionColumns

        return vars(self).setdefault("_columns", ActionColumns(self.action_space))

    @property
    def model(self) -> Any:
        """There is none: AttributeError that says what there is."""
        raise AttributeError(
            "a native policy has no model of PyTorch's: learner_backend='torch' makes one that has; get_weights() and "
            "set_weights(), Algorithm.get_module() and export_policy_model() are there for both"
        )

    # Acting

    def act(
        self,
        obs: Any,
        states: Sequence[Any] = (),
        prev_actions: Any = None,
        prev_rewards: Any = None,
        explore: bool = True,
        noise: tuple[int, int, int] | None = None,
    ) -> tuple[Any, list[Any], dict[str, Any]]:
        """noise: (seed, index of the first row's environment, step), from which the random numbers follow."""
        if noise is None:
            noise = (self._seed, 1 << 40, self._acted)
            self._acted += 1
        rows = np.ascontiguousarray(np.asarray(obs, np.float32).reshape(len(obs), -1))
        actions, logp, inputs, values = self.mlp.act(
            rows, explore=explore, seed=noise[0], first_index=noise[1], step=noise[2]
        )
        if not self._critic:
            values = np.zeros_like(values)
        extras = {
            SampleBatch.ACTION_DIST_INPUTS: inputs,
            SampleBatch.ACTION_LOGP: logp,
            SampleBatch.VF_PREDS: values,
        }
        return actions, [], extras

    def compute_actions(
        self,
        obs_batch: Any,
        state_batches: Any = None,
        prev_action_batch: Any = None,
        prev_reward_batch: Any = None,
        info_batch: Any = None,
        episodes: Any = None,
        explore: bool | None = None,
        timestep: int | None = None,
        **kwargs: Any,
    ) -> tuple[Any, list[Any], dict[str, Any]]:
        explore = self.config["explore"] if explore is None else explore
        actions, states, extras = self.act(obs_batch, explore=bool(explore))
        extras[SampleBatch.ACTION_PROB] = np.exp(extras[SampleBatch.ACTION_LOGP])
        return self.columns.to_batch(actions), states, extras

    def value_function(self, obs_batch: Any, state_batches: Sequence[Any] = ()) -> Any:
        if not self._critic:
            return np.zeros(len(obs_batch), np.float32)
        rows = np.ascontiguousarray(np.asarray(obs_batch, np.float32).reshape(len(obs_batch), -1))
        return self.mlp.forward(rows)[1]

    # Learning

    def learn(
        self, batch: SampleBatch, epochs: int, minibatch: int | None, generator: np.random.Generator
    ) -> dict[str, Any]:
        """All epochs in one call; {"learner_stats": ...}. The order of minibatches is the learner's own."""
        learner = self._ready(epochs, _WHOLE_BATCH if minibatch is None else minibatch)
        return _learned(learner.update(_flat(batch)))

    def learn_on_batch(self, samples: SampleBatch) -> dict[str, Any]:
        return self.learn(samples, 1, None, np.random.default_rng(0))

    def compute_gradients(self, postprocessed_batch: SampleBatch) -> tuple[dict[str, Any], Any]:
        gradients, stats = self._ready(1, _WHOLE_BATCH).gradients(_flat(postprocessed_batch))
        return dict(gradients), _learned(stats)

    def apply_gradients(self, gradients: Mapping[str, Any]) -> None:
        self._ready(1, _WHOLE_BATCH).apply_gradients(dict(gradients))

    def _ready(self, epochs: int, minibatch: int) -> Any:
        """The learner for these epochs, with the present rates; one for others hands its state over."""
        if self._shape != (epochs, minibatch):
            old = self._learner
            self._learner = self._make_learner(epochs, minibatch)
            if old is not None:
                self._learner.set_state(old.get_state())
            self._shape = (epochs, minibatch)
        self._learner.lr = self._lr.value(self.global_timestep)
        self._learner.entropy_coeff = self._entropy.value(self.global_timestep)
        return self._learner

    def _make_learner(self, epochs: int, minibatch: int) -> Any:
        config = self.config
        betas = config["optimizer"].get("betas", (0.9, 0.999))
        workers = config["num_env_runners"] * config["num_cpus_per_env_runner"]
        settings = {
            "loss": config.algo_class.native_loss,
            "num_sgd_iter": epochs,
            "sgd_minibatch_size": minibatch,
            "drop_last": minibatch != _WHOLE_BATCH,
            "standardize_advantages": config.algo_class.native_loss == "ppo",
            "lr": self._lr.value(0),
            "grad_clip": config["grad_clip"],
            "adam_beta1": betas[0],
            "adam_beta2": betas[1],
            "adam_epsilon": config["optimizer"].get("eps", 1e-8),
            # Rollout workers wait while it learns: their CPUs are free.
            "threads": threads(config["num_cpus_for_main_process"] + workers),
            "seed": self._seed,
            "vf_loss_coeff": config.get("vf_loss_coeff", 0.5) if self._critic else 0.0,
            "entropy_coeff": self._entropy.value(0),
        }
        if settings["loss"] == "ppo":
            limit = config["vf_clip_param"]
            settings["vf_clip_param"] = None if limit is None or np.isinf(limit) else limit
            settings["clip_param"] = config["clip_param"]
            settings["kl_coeff"] = config["kl_coeff"] if config["use_kl_loss"] else 0.0
            settings["kl_target"] = config["kl_target"]
        else:
            settings["vf_clip_param"] = None
        return rl().PpoLearner(self.mlp, **settings)

    # State

    def get_weights(self) -> dict[str, Any]:
        return dict(self.mlp.get_weights())

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        self.mlp.set_weights(weights)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As Policy.load_state_dict(): with the names of get_weights(), or those of the same net in PyTorch (a torch policy's
        model, what export_model() wrote)."""
        hidden = len(self.config["model"]["fcnet_hiddens"])
        names = names_in_torch(hidden)
        super().load_state_dict({names.get(name, name): v for name, v in state_dict.items()})

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        state.update(seed=self._seed, acted=self._acted)
        if self._learner is not None:
            state.update(learner=self._learner.get_state(), shape=self._shape)
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        self._seed, self._acted = state.get("seed", self._seed), state.get("acted", 0)
        self._learner, self._shape = None, None  # its random numbers follow from the seed
        if "learner" in state:
            self._ready(*state["shape"]).set_state(state["learner"])

    @property
    def kl_coeff(self) -> float:
        """The present coefficient of the KL term."""
        return float(
            self._learner.kl_coeff if self._learner is not None else self.config["kl_coeff"]
        )

    def export_model(self, export_dir: str, onnx: int | None = None) -> None:
        """As TorchScript or ONNX, through a net of PyTorch's with the same weights. ImportError without torch."""
        from .export import export_native

        export_native(self, export_dir, onnx)


def made_mlp(observation_space: Any, action_space: Any, config: Any, seed: int) -> Any:
    """The net in C++ that the configuration describes (net_reason() is None)."""
    model = config["model"]
    discrete = type(action_space).__name__ == "Discrete"
    return rl().Mlp(
        int(np.prod(observation_space.shape, dtype=int)),
        [int(size) for size in model["fcnet_hiddens"]],
        num_actions=int(action_space.n) if discrete else 0,
        action_dim=0 if discrete else int(action_space.shape[0]),
        activation=model["fcnet_activation"],
        vf_share_layers=bool(model["vf_share_layers"]),
        free_log_std=bool(model["free_log_std"]) and not discrete,
        seed=seed,
    )


def _flat(batch: SampleBatch) -> SampleBatch:
    """The batch with observations as rows of float32."""
    batch = SampleBatch(batch)
    obs = np.asarray(batch[SampleBatch.OBS], np.float32)
    batch[SampleBatch.OBS] = np.ascontiguousarray(obs.reshape(len(obs), -1))
    return batch


def _learned(stats: Mapping[str, float]) -> dict[str, Any]:
    return {"learner_stats": dict(stats), "model": {}, "learner_backend": "native"}


def names_in_torch(hidden: int) -> dict[str, str]:
    """Names of weights in FullyConnectedNetwork, and in an exported net, to those of Mlp."""
    modules = {
        "_head._model.0": "policy.out",
        "_value._model.0": "value.out",
        "model.head": "policy.out",
        "model.value_head": "value.out",
    }
    for layer in range(hidden):
        modules[f"_trunk.{layer}._model.0"] = f"policy.{layer}"
        modules[f"_value_trunk.{layer}._model.0"] = f"value.{layer}"
        modules[f"model.policy.{2 * layer}"] = f"policy.{layer}"
        modules[f"model.value.{2 * layer}"] = f"value.{layer}"
    named = {
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in modules.items()
        for kind in ("weight", "bias")
    }
    return {**named, "_log_std": "log_std", "model.log_std": "log_std"}
