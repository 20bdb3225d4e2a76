"""Call-backs: methods that are called when something happens in sampling, training or evaluation.

Each method is called with the keyword arguments of Ray's, in both spellings (`worker` and `env_runner`,
`episode` of both kinds); a method of the user's may take those it wants and **kwargs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["HOOKS", "DefaultCallbacks", "RLlibCallback", "from_functions", "make_callbacks"]


class RLlibCallback:
    """Does nothing; subclasses override what they want.

    Those of episodes and samples run in the rollout workers (each has an instance of its own), the others
    in the algorithm. What a call-back puts into `episode.custom_metrics`, `episode.hist_data`, `result` or
    `metrics_logger` comes out in the results.
    """

    def __init__(
        self, legacy_callbacks_dict: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        self.legacy_callbacks = dict(legacy_callbacks_dict or {})

    def on_algorithm_init(self, *, algorithm: Any, **kwargs: Any) -> None:
        """After the algorithm has been set up."""

    def on_create_policy(self, *, policy_id: str, policy: Any) -> None:
        """After a policy was made, in each process that has it."""

    def on_environment_created(
        self, *, env_runner: Any, env: Any, env_context: Any, **kwargs: Any
    ) -> None:
        """After an environment was made."""

    def on_sub_environment_created(
        self,
        *,
        worker: Any,
        sub_environment: Any,
        env_context: Any,
        env_index: Any = None,
        **kwargs: Any,
    ) -> None:
        """The same, with the name of Ray 1.x."""

    def on_episode_created(self, *, episode: Any, **kwargs: Any) -> None:
        """Before the environment is reset."""

    def on_episode_start(self, *, episode: Any, **kwargs: Any) -> None:
        """After the first observation."""

    def on_episode_step(self, *, episode: Any, **kwargs: Any) -> None:
        """After each step, the last one as well."""

    def on_episode_end(self, *, episode: Any, **kwargs: Any) -> None:
        """After the last step, before the episode is counted."""

    def on_postprocess_trajectory(
        self,
        *,
        worker: Any,
        episode: Any,
        agent_id: Any,
        policy_id: str,
        policies: Any,
        postprocessed_batch: Any,
        original_batches: Any,
        **kwargs: Any,
    ) -> None:
        """After advantages were added to a trajectory; the batch may be changed."""

    def on_sample_end(self, *, samples: Any, **kwargs: Any) -> None:
        """After a worker's sample(); the batch may be changed."""

    def on_learn_on_batch(
        self, *, policy: Any, train_batch: Any, result: Any, **kwargs: Any
    ) -> None:
        """Before a policy learns; the batch may be changed, `result` goes into its learner stats."""

    def on_train_result(self, *, algorithm: Any, result: dict[str, Any], **kwargs: Any) -> None:
        """After each iteration; `result` may be changed."""

    def on_evaluate_start(self, *, algorithm: Any, **kwargs: Any) -> None:
        """Before evaluation."""

    def on_evaluate_end(
        self, *, algorithm: Any, evaluation_metrics: dict[str, Any], **kwargs: Any
    ) -> None:
        """After evaluation; the metrics may be changed."""

    def on_env_runners_recreated(
        self,
        *,
        algorithm: Any,
        env_runner_group: Any,
        env_runner_indices: Any,
        is_evaluation: bool,
        **kwargs: Any,
    ) -> None:
        """After dead workers were replaced."""

    def on_workers_recreated(
        self,
        *,
        algorithm: Any,
        worker_set: Any,
        worker_ids: Any,
        is_evaluation: bool,
        **kwargs: Any,
    ) -> None:
        """The same, with the name of Ray 2.0."""

    def on_checkpoint_loaded(self, *, algorithm: Any, **kwargs: Any) -> None:
        """After a checkpoint was restored."""


DefaultCallbacks = RLlibCallback
# Of Ray's, for evaluation from recorded experience by runners of its own.
_LATER = (
    "on_evaluate_offline_start",
    "on_evaluate_offline_end",
    "on_offline_eval_runners_recreated",
)
HOOKS = tuple(name for name in vars(RLlibCallback) if name.startswith("on_"))
# In the dict of functions that Ray had before classes.
_LEGACY = (
    "on_episode_start",
    "on_episode_step",
    "on_episode_end",
    "on_sample_end",
    "on_train_result",
)


class Callbacks:
    """All the call-backs of a configuration, as one object: `callbacks("on_episode_end", episode=...)`."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = list(parts)
        for part in self.parts:
            unheard = [name for name in _LATER if hasattr(part, name)]
            if unheard:
                raise NotImplementedError(
                    f"{unheard[0]}() of {type(part).__name__}: evaluation from recorded experience is not implemented"
                )
        self._methods: dict[str, list[Callable[..., Any]]] = {}
        for name in HOOKS:
            self._methods[name] = [
                getattr(part, name)
                for part in self.parts
                if hasattr(part, name)
                and getattr(type(part), name, None) is not getattr(RLlibCallback, name)
            ]

    def uses(self, *names: str) -> bool:
        """Whether the user has overridden one of these: samplers skip what nobody wants."""
        return any(self._methods[name] for name in names)

    def __call__(self, hook: str, **arguments: Any) -> None:
        for method in self._methods[hook]:
            method(**_accepted(method, arguments))


def _accepted(method: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Those of the arguments that the method takes."""
    parameters = inspect.signature(method).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return arguments
    return {name: value for name, value in arguments.items() if name in parameters}


def make_callbacks(configured: Any) -> Callbacks:
    """From `config["callbacks"]`: None, a class, a list of classes, or Ray's dict of functions of info dicts."""
    if configured is None:
        return Callbacks([])
    if isinstance(configured, Mapping):
        return Callbacks([_legacy(configured)()])
    classes = configured if isinstance(configured, list | tuple) else [configured]
    for made in classes:
        if not callable(made) and not any(hasattr(made, name) for name in HOOKS):
            raise ValueError(
                f"config['callbacks'] must be a class with call-backs, or a list of such, not {made!r}"
            )
    return Callbacks([made() if callable(made) else made for made in classes])


def _legacy(functions: Mapping[str, Callable[..., Any]]) -> type[RLlibCallback]:
    """Ray 0.x: {"on_episode_end": lambda info: ...}."""
    bad = sorted(set(functions) - set(_LEGACY))
    if bad:
        raise ValueError(
            f"config['callbacks'] has unknown keys {bad}; there are {', '.join(_LEGACY)}"
        )

    def method(function: Callable[..., Any]) -> Any:
        def call(self: Any, **info: Any) -> None:
            info.setdefault("trainer", info.get("algorithm"))
            function(info)

        return call

    return type("Legacy", (RLlibCallback,), {name: method(f) for name, f in functions.items()})


def from_functions(base: Any, hooks: Mapping[str, Any]) -> list[Any]:
    """`base` (classes or None) and a class that calls the given functions."""
    bad = sorted(set(hooks) - set(HOOKS))
    if bad:
        raise TypeError(f"callbacks(): unknown call-backs {bad}; there are {', '.join(HOOKS)}")

    def method(functions: Any) -> Any:
        functions = functions if isinstance(functions, list | tuple) else [functions]

        def call(self: Any, **arguments: Any) -> None:
            for function in functions:
                function(**_accepted(function, arguments))

        return call

    made = type("Functions", (RLlibCallback,), {name: method(f) for name, f in hooks.items()})
    bases = [] if base is None else (list(base) if isinstance(base, list | tuple) else [base])
    return [*bases, made]
