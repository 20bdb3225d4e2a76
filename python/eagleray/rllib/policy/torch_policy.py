"""TorchPolicy: any net of PyTorch's, acting and learning. Algorithms subclass it with their loss."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..models.catalog import ModelCatalog
from ..models.torch.torch_modelv2 import TorchModelV2
from ..utils.exploration.exploration import make_exploration
from ..utils.lazy import lazily
from ..utils.schedules import schedule_of
from .action_columns import ActionColumns
from .integer_boxes import as_choices
from .policy import Policy
from .sample_batch import SampleBatch
from .torch_updates import Columns, make_updates

__all__ = ["TorchPolicy"]

# Columns that are no input of a loss.
_NOT_TENSORS = ("infos", "eps_id", "env_id", "agent_index", "unroll_id", "t")


class TorchPolicy(Policy):
    """loss(model, dist_class, train_batch) -> scalar tensor is what a subclass defines; it may note numbers
    for the results with note(name, tensor). train_batch: tensors by column, in time order, padded to whole
    sequences for recurrent nets (`mask` is true where a row is real).

    On CUDA a step is recorded as a graph and replayed (torch_updates.py): numbers of a loss that change from
    batch to batch belong into coefficients() and are read as self.coefficient[name].
    """

    framework = "torch"

    def __init__(self, observation_space: Any, action_space: Any, config: Any) -> None:
        if not config["model"]["custom_action_dist"]:
            action_space = as_choices(action_space)
        super().__init__(observation_space, action_space, config)
        _refuse_unheard(self)
        gpus = config["num_gpus"] or config["num_gpus_per_learner"]
        self.device = torch.device("cuda" if gpus and torch.cuda.is_available() else "cpu")
        if gpus and self.device.type == "cpu":
            raise RuntimeError(f"num_gpus={gpus}, but PyTorch finds no CUDA device here")
        # More threads than the trial's own CPUs would only wait for each other.
        torch.set_num_threads(max(int(config["num_cpus_for_main_process"]), 1))
        if config["seed"] is not None:
            torch.manual_seed(int(config["seed"]))
        self.columns = ActionColumns(action_space)
        self.dist_class, self._dist_inputs = ModelCatalog.get_action_dist(
            action_space, config["model"]
        )
        self.model = self.make_model(self._dist_inputs).to(self.device)
        self._states = [np.asarray(_numpy(part)) for part in self.model.get_initial_state()]
        self.needs_state = bool(self._states)
        self._lr = schedule_of(config["lr_schedule"], config["lr"])
        self.optimizer = self.make_optimizer()
        self.notes: dict[str, list[Any]] = {}
        self.peers: Any = None  # other learners of the same update (rllib.learners)
        self.coefficient: dict[str, Any] = {}
        self._refresh()
        self._updates = make_updates(self)
        self.exploration = make_exploration(config, action_space, self.model)
        self._bounded = _finite(action_space)
        from .native_acting import NativeActing

        self._native = NativeActing.for_policy(self)
        self.takes_noise = self._native is not None

    # What a subclass may change.

    def make_model(self, num_outputs: int) -> Any:
        """The net, as config["model"] and the user's spec say."""
        spec = self.config["rl_module_spec"]
        if spec is not None:
            from ..models.torch.modules import model_of_rl_module

            return model_of_rl_module(
                spec, self.observation_space, self.action_space, num_outputs, self.config
            )
        return ModelCatalog.get_model_v2(
            self.observation_space, self.action_space, num_outputs, self.config["model"]
        )

    def make_optimizer(self) -> Any:
        """Adam, with the settings of config["optimizer"]."""
        settings = {
            key: value
            for key, value in self.config["optimizer"].items()
            if key in ("betas", "eps", "weight_decay")
        }
        return fused_adam(self._parameters(), self._lr.value(0), self.device, settings)

    def coefficients(self) -> dict[str, float]:
        """Numbers of the loss that change from batch to batch."""
        return {}

    def loss(self, model: Any, dist_class: Any, train_batch: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no loss()")

    def after_learning(self, stats: dict[str, float]) -> None:
        """Called with the mean statistics after all epochs; PPO adapts its KL coefficient here."""

    def note(self, name: str, value: Any) -> None:
        """Adds a number (tensor) to the learner's statistics of this minibatch."""
        self.notes.setdefault(name, []).append(
            value.detach() if hasattr(value, "detach") else value
        )

    # Acting

    def act(
        self,
        obs: Any,
        states: Sequence[Any] = (),
        prev_actions: Any = None,
        prev_rewards: Any = None,
        explore: bool = True,
        noise: Any = None,  # where PyTorch acts it has random numbers of its own
    ) -> tuple[Any, list[Any], dict[str, Any]]:
        """Actions as rows of ActionColumns, next states, and what learning needs of them."""
        if self._native is not None:
            return self._native.act(obs, explore, noise)
        rows = len(obs)
        with torch.no_grad():
            inputs = self._inputs(obs, prev_actions, prev_rewards)
            given = [torch.as_tensor(np.asarray(part), device=self.device) for part in states]
            lens = torch.ones(rows, dtype=torch.int32, device=self.device)
            self._act_from_now()
            outputs, states_out = self.model(inputs, given, lens)
            self._check_width(outputs)
            dist = self.dist_class(outputs, self.model)
            actions, logp = self.exploration.get_exploration_action(
                action_distribution=dist, timestep=self.global_timestep, explore=explore
            )
            values = (
                self.model.value_function()
                if self.config.get("use_critic", True)
                else torch.zeros(rows)
            )
        leaves = [_numpy(leaf) for leaf in (actions if isinstance(actions, tuple) else (actions,))]
        extras = {
            SampleBatch.ACTION_DIST_INPUTS: _numpy(outputs),
            SampleBatch.ACTION_LOGP: _numpy(logp),
            SampleBatch.VF_PREDS: _numpy(values).astype(np.float32),
        }
        return self.columns.join(leaves), [_numpy(part) for part in states_out], extras

    def _act_from_now(self) -> None:
        if self.model.training:  # setting it visits every module
            self.model.eval()

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
        states = state_batches or [
            np.repeat(part[None], len(obs_batch), 0) for part in self._states
        ]
        rows, states_out, extras = self.act(
            obs_batch, states, prev_action_batch, prev_reward_batch, explore
        )
        extras[SampleBatch.ACTION_PROB] = np.exp(extras[SampleBatch.ACTION_LOGP])
        return self.columns.to_batch(rows), states_out, extras

    def compute_log_likelihoods(
        self, actions: Any, obs_batch: Any, state_batches: Any = None, **kwargs: Any
    ) -> Any:
        """log p of actions (rows) given observations: [n]."""
        with torch.no_grad():
            outputs, _ = self.model(self._inputs(obs_batch, None, None), [], None)
            self._check_width(outputs)
            dist = self.dist_class(outputs, self.model)
            return _numpy(
                dist.logp(
                    self.action_tensors(torch.as_tensor(np.asarray(actions), device=self.device))
                )
            )

    def action_tensors(self, rows: Any) -> Any:
        """Rows as the distribution takes them: one tensor, or a tuple of leaves."""
        return tuple(self.columns.split(rows)) if self.columns.nested else rows

    def value_function(self, obs_batch: Any, state_batches: Sequence[Any] = ()) -> Any:
        if not self.config.get("use_critic", True):
            return np.zeros(len(obs_batch), np.float32)
        with torch.no_grad():
            inputs = self._inputs(obs_batch, None, None)
            given = [
                torch.as_tensor(np.asarray(part), device=self.device) for part in state_batches
            ]
            self._act_from_now()
            self.model(
                inputs, given, torch.ones(len(obs_batch), dtype=torch.int32, device=self.device)
            )
            return _numpy(self.model.value_function()).astype(np.float32)

    def get_initial_state(self) -> list[Any]:
        return list(self._states)

    def _inputs(self, obs: Any, prev_actions: Any, prev_rewards: Any) -> dict[str, Any]:
        obs = torch.as_tensor(np.asarray(obs), device=self.device)
        if obs.dtype == torch.float64:
            obs = obs.float()
        rows = len(obs)
        inputs: dict[str, Any] = {"obs": obs, "is_training": False}
        if self.needs_state:
            if prev_actions is None:
                prev_actions = np.zeros((rows, *self.columns.shape), self.columns.dtype)
            if prev_rewards is None:
                prev_rewards = np.zeros(rows, np.float32)
            inputs["prev_actions"] = torch.as_tensor(np.asarray(prev_actions), device=self.device)
            inputs["prev_actions_flat"] = torch.as_tensor(
                self.columns.one_hot(np.asarray(prev_actions)), device=self.device
            )
            inputs["prev_rewards"] = torch.as_tensor(
                np.asarray(prev_rewards, np.float32), device=self.device
            )
        return inputs

    # Learning

    def learn(
        self, batch: SampleBatch, epochs: int, minibatch: int | None, generator: np.random.Generator
    ) -> dict[str, Any]:
        """Epochs of shuffled minibatches (None: the whole batch at once); {"learner_stats": means}."""
        return self.learn_prepared(self.prepare(batch), epochs, minibatch, generator)

    def prepare(self, batch: SampleBatch) -> SampleBatch:
        """What is made of a whole batch before it is learned from, and shared among learners."""
        return batch

    def learn_prepared(
        self, batch: SampleBatch, epochs: int, minibatch: int | None, generator: np.random.Generator
    ) -> dict[str, Any]:
        """learn() of a batch, or of this learner's share of one, that prepare() gave."""
        columns = self._tensors(batch)
        # All learners make as many steps, although their sequences may be more or fewer.
        units = columns.units if self.peers is None else self.peers.least(columns.units)
        size = units if minibatch is None else max(minibatch // columns.per_unit, 1)
        size = min(size, units)
        orders = [
            generator.permutation(columns.units)[:units] if size < columns.units else None
            for _ in range(epochs)
        ]
        self.model.train()
        self._refresh()
        stats = self._updates.run(columns, orders, size)
        if self.peers is not None:
            stats = self.peers.means(stats)
        stats["cur_lr"] = float(self.optimizer.param_groups[0]["lr"])
        self.after_learning(stats)
        return self._learned(stats)

    def _learned(self, stats: dict[str, float]) -> dict[str, Any]:
        return {"learner_stats": stats, "model": self.model.metrics(), "learner_backend": "torch"}

    def learn_on_batch(self, samples: SampleBatch) -> dict[str, Any]:
        return self.learn(samples, 1, None, np.random.default_rng(0))

    def _tensors(self, batch: SampleBatch) -> Columns:
        """The columns that are numbers."""
        per_unit = 1
        if self.needs_state:
            from .sequences import pad_sequences

            batch = pad_sequences(batch, int(self.config["model"]["max_seq_len"]))
            per_unit = batch.count // len(batch[SampleBatch.SEQ_LENS])
        tensors = {}
        for key, value in batch.items():
            if key in _NOT_TENSORS or not isinstance(value, np.ndarray) or value.dtype == object:
                continue
            with (
                warnings.catch_warnings()
            ):  # columns in the store are read-only, and nobody writes into them
                warnings.simplefilter("ignore")
                tensor = torch.as_tensor(value)
            tensors[key] = tensor.float() if tensor.dtype == torch.float64 else tensor
        if self.needs_state:
            tensors["prev_actions_flat"] = torch.as_tensor(
                self.columns.one_hot(batch["prev_actions"])
            )
        return Columns(tensors, batch.count // per_unit, per_unit)

    def step(self, train_batch: dict[str, Any]) -> None:
        """One step of the optimiser on one minibatch."""
        self._backward(train_batch)
        if self.peers is not None:
            self.peers.average([p.grad for p in self._trainable if p.grad is not None])
        norm = self._clip()
        if norm is not None:
            self.note("grad_gnorm", norm)
        self.optimizer.step()

    def _backward(self, train_batch: dict[str, Any]) -> None:
        loss = self.loss(self.model, self.dist_class, train_batch)
        if _has_own(self.model, "custom_loss"):
            loss = self.model.custom_loss([loss], train_batch)  # a list, as in Ray
            loss = loss[0] if isinstance(loss, list | tuple) else loss
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()

    def compute_gradients(self, postprocessed_batch: SampleBatch) -> tuple[dict[str, Any], Any]:
        columns = self._tensors(postprocessed_batch).to(self.device)
        self.model.train()
        self._refresh()
        self.notes = {}
        self._backward(columns.tensors)
        gradients = {
            name: _numpy(parameter.grad).copy()
            for name, parameter in self.model.named_parameters()
            if parameter.grad is not None
        }
        stats = {name: float(values[-1]) for name, values in self.notes.items()}
        stats["cur_lr"] = float(self.optimizer.param_groups[0]["lr"])
        return gradients, self._learned(stats)

    def apply_gradients(self, gradients: Mapping[str, Any]) -> None:
        for name, parameter in self.model.named_parameters():
            given = gradients.get(name)
            parameter.grad = (
                None if given is None else torch.as_tensor(np.array(given), device=self.device)
            )
        self._clip()
        self.optimizer.step()

    def _clip(self) -> Any:
        """Clips the gradients; their norm before that, None where only each of them is clipped."""
        limit, kind = self.config["grad_clip"], self.config["grad_clip_by"]
        gradients = [p.grad for p in self._trainable if p.grad is not None]
        if kind == "value" and limit is not None:
            torch.nn.utils.clip_grad_value_(self._trainable, limit)
            return None
        norms = torch._foreach_norm(gradients)
        if kind == "norm" and limit is not None:
            for gradient, norm in zip(gradients, norms, strict=True):
                gradient.mul_((limit / (norm + 1e-6)).clamp(max=1.0))
            return None
        norm = torch.linalg.vector_norm(torch.stack(norms))
        if limit is not None:
            torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))
        return norm

    # What recorded steps need to know (torch_updates.py).

    @property
    def keeps_recording(self) -> bool:
        """Whether a recorded step is right for the next batch, too: loss and net are ours and hold no numbers that change."""
        ours = __name__.partition(".")[0] + "."
        parts = (type(self).loss, type(self).make_optimizer, type(self.model), self.dist_class)
        return all(getattr(part, "__module__", "").startswith(ours) for part in parts) and not (
            self.config["model"]["custom_model"] or self.config["rl_module_spec"]
        )

    def recording_key(self) -> tuple[Any, ...]:
        """What a recorded step has fixed: whether coefficients are zero, and learning rates that are no tensors."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        fixed = [rate for rate in rates if not torch.is_tensor(rate)]
        return (*((name, value != 0.0) for name, value in self.coefficients().items()), *fixed)

    def _refresh(self) -> None:
        """Brings self.coefficient up to date: numbers, on CUDA tensors that stay where they are."""
        values = self.coefficients()
        if self.device.type == "cpu":
            self.coefficient = values
            return
        for name, value in values.items():
            if name in self.coefficient:
                self.coefficient[name].fill_(value)
            else:
                self.coefficient[name] = torch.tensor(value, device=self.device)

    def forward(self, train_batch: Any) -> Any:
        """The net on a training batch: its outputs [n, size]."""
        states: list[Any] = []
        while f"state_in_{len(states)}" in train_batch:
            states.append(train_batch[f"state_in_{len(states)}"])
        inputs = {**train_batch, "is_training": True}
        outputs, _ = self.model(inputs, states, train_batch.get(SampleBatch.SEQ_LENS))
        self._check_width(outputs)
        return outputs

    def _check_width(self, outputs: Any) -> None:
        """ValueError: the net gives more or fewer numbers for an observation than the distribution of actions takes."""
        if outputs.shape[-1] == self._dist_inputs:
            return
        net = getattr(self.model, "module", self.model)
        raise ValueError(
            f"the net {type(net).__name__} gives {outputs.shape[-1]} numbers for an observation, but the distribution of "
            f"actions in {self.action_space} takes {self._dist_inputs}"
        )

    def on_global_var_update(self, global_vars: Mapping[str, Any]) -> None:
        super().on_global_var_update(global_vars)
        if self._native is not None:
            self._native.forget()
        self._set_lr(self._lr.value(self.global_timestep))
        self._refresh()

    def _set_lr(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            if torch.is_tensor(group["lr"]):
                group["lr"].fill_(value)
            else:
                group["lr"] = value

    # State

    def _parameters(self) -> list[Any]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @functools.cached_property
    def _trainable(self) -> list[Any]:
        return self._parameters()

    def get_weights(self) -> dict[str, Any]:
        return {name: _numpy(value).copy() for name, value in self.model.state_dict().items()}

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        self.model.load_state_dict(
            {name: torch.as_tensor(np.array(value)) for name, value in weights.items()}
        )

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        state["optimizer"] = _on_cpu(self.optimizer.state_dict())
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        if "optimizer" in state:
            load_optimizer(self.optimizer, state["optimizer"])
            self._updates.forget()
        self._refresh()

    def export_model(self, export_dir: str, onnx: int | None = None) -> None:
        from .export import export_torch

        try:
            export_torch(self, export_dir, onnx)
        finally:
            if (
                self.device.type != "cpu"
            ):  # the net was written on the CPU; what a graph knew of it lies elsewhere now
                self.model.to(self.device)
                self._updates.forget()


def _numpy(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else np.asarray(tensor)


def _finite(space: Any) -> bool:
    return hasattr(space, "low") and bool(np.all(np.isfinite(space.low)))


# What subclasses of Ray's policies may override, and nothing here would call.
_UNHEARD = (
    "action_distribution_fn",
    "action_sampler_fn",
    "extra_action_out",
    "extra_compute_grad_fetches",
    "extra_grad_info",
    "extra_grad_process",
    "get_tower_stats",
    "make_model_and_action_dist",
    "make_rl_module",
    "optimizer",
    "stats_fn",
)


def _refuse_unheard(policy: Any) -> None:
    """NotImplementedError: a subclass has a method that would never be called."""
    for name in _UNHEARD:
        if callable(getattr(type(policy), name, None)):
            raise NotImplementedError(
                f"{type(policy).__name__}.{name}() would not be called: there are make_model(), make_optimizer(), "
                "loss(), note(), after_learning(), postprocess_trajectory()"
            )


def _has_own(model: Any, name: str) -> bool:
    """Whether a model has its own method of this name, not that of TorchModelV2, which does nothing."""
    method = getattr(type(model), name, None)
    return method is not None and method is not getattr(TorchModelV2, name, None)


def fused_adam(parameters: Any, lr: float, device: Any, settings: Mapping[str, Any]) -> Any:
    """Adam in one kernel for all parameters where PyTorch has it; on CUDA such that a graph can hold its steps."""
    if device.type == "cuda":
        rate = torch.tensor(lr, dtype=torch.float32, device=device)
        return torch.optim.Adam(parameters, lr=rate, fused=True, capturable=True, **settings)
    try:
        return torch.optim.Adam(parameters, lr=lr, fused=True, **settings)
    except RuntimeError:  # before PyTorch 2.4, and for parameters of other types
        return torch.optim.Adam(parameters, lr=lr, **settings)


# How an optimiser computes, which is of this process and not of what was saved.
_WAYS = ("fused", "foreach", "capturable", "differentiable")


def load_optimizer(optimizer: Any, saved: Mapping[str, Any]) -> None:
    """Takes a saved state over, whichever device it comes from."""
    groups = []
    for own, group in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        rate = own["lr"].clone() if torch.is_tensor(own["lr"]) else None
        taken = {**group, **{key: own[key] for key in _WAYS if key in own}}
        taken["lr"] = float(group["lr"]) if rate is None else rate.fill_(float(group["lr"]))
        groups.append(taken)
    optimizer.load_state_dict({**saved, "param_groups": groups})


def _on_cpu(value: Any) -> Any:
    if torch.is_tensor(value):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: _on_cpu(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_cpu(part) for part in value)
    return value


__getattr__ = lazily(__name__)  # names that are planned
