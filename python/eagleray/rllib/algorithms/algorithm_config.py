"""AlgorithmConfig: the settings of an algorithm, as a builder (Ray 2.x) and as a dict (Ray 1.x).

One table of keys stands behind both: `PPOConfig().training(lr=1e-3)`, `config.lr = 1e-3`,
`config["lr"]` and `PPO(config={"lr": 1e-3})` mean the same. Values may be search spaces of Tune until
build_algo() validates them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..models.defaults import MODEL_DEFAULTS, MODEL_IGNORED, MODEL_NAMES, UNAVAILABLE
from ..utils.by_name import by_name
from ..utils.exploration.names import exploration_type
from ..utils.names import unknown
from .config_checks import check_values
from .config_sections import SECTIONS, TRAINING
from .config_tables import CLASSIC_DEFAULTS, CLASSIC_NAMES, COMMON, IGNORED

if TYPE_CHECKING:
    from .algorithm import Algorithm

__all__ = ["AlgorithmConfig", "NotProvided"]


class _NotProvided:
    """The default of a builder's argument: the setting stays what it is."""

    def __repr__(self) -> str:
        return "NotProvided"


NotProvided: Any = _NotProvided()
_FRAMEWORKS_LATER = ("tf", "tfe", "tf2", "jax")


@by_name(
    connectors="build_env_to_module_connector build_module_to_env_connector build_learner_connector",
    learners_of_Ray_2="build_learner build_learner_group get_default_learner_class get_torch_compile_worker_config",
    several_modules_in_one="get_multi_rl_module_spec get_rl_module_spec get_default_rl_module_spec "
    "get_multi_agent_setup",
)
class AlgorithmConfig:
    """Settings of an algorithm. KeyError (from a dict) or TypeError (from a method) names a key that does
    not exist and the nearest that does; build_algo() checks the values."""

    OWN: dict[str, Any] = {}  # a subclass's further keys, and other defaults of common ones
    CLASSIC: dict[str, Any] = {}  # where from_dict() starts from other defaults

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        values = copy.deepcopy({**dict.fromkeys(IGNORED), **COMMON})
        for parent in reversed(type(self).__mro__):
            own = copy.deepcopy(vars(parent).get("OWN", {}))
            model = own.pop("model", {})
            values.update(own)
            values["model"].update(model)
        vars(self).update(_values=values, _frozen=False, algo_class=algo_class)

    # A dict

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any]) -> AlgorithmConfig:
        """The configuration that a dict of Ray 1.x or 2.x means. What it leaves out has the defaults of
        Ray 1.x where the two differ (rollout_fragment_length 200, clip_actions True)."""
        made = cls()
        made.update_from_dict({**CLASSIC_DEFAULTS, **cls.CLASSIC})
        return made.update_from_dict(config_dict)

    def update_from_dict(self, config_dict: Mapping[str, Any]) -> AlgorithmConfig:
        """Takes the keys of a dict over. KeyError for an unknown one; self is returned."""
        for key, value in config_dict.items():
            if key == "multiagent":
                self.update_from_dict(value)
            elif key == "policies" and not value:
                continue  # what Ray 1.x said for "one agent"
            else:
                self[key] = value
        return self

    def to_dict(self) -> dict[str, Any]:
        """All settings by their current names. `from_dict(c.to_dict())` is equal to c."""
        return {
            self._outer(key): value
            for key, value in self._values.items()
            if key in COMMON or key not in IGNORED
        }

    def copy(self, copy_frozen: bool | None = None) -> AlgorithmConfig:
        """An independent copy. copy_frozen: True freezes it, None keeps it as frozen as this one is."""
        made = type(self)(algo_class=self.algo_class)
        vars(made)["_values"] = {
            key: copy.copy(value) if isinstance(value, dict) else value
            for key, value in self._values.items()
        }
        vars(made)["_frozen"] = self._frozen if copy_frozen is None else copy_frozen
        return made

    def freeze(self) -> None:
        """From here on nothing can be set any more."""
        vars(self)["_frozen"] = True

    @classmethod
    def overrides(cls, **settings: Any) -> dict[str, Any]:
        """A dict of checked settings, for evaluation_config and for single policies."""
        made = cls()
        return {made._name(key): value for key, value in settings.items()}

    @staticmethod
    def _outer(key: str) -> str:
        return "lambda" if key == "lambda_" else key

    def _name(self, key: str) -> str:
        """The current name of a key. KeyError: there is none such."""
        name = key if key in self._values else CLASSIC_NAMES.get(key, key)
        if name not in self._values:
            known = [*self._values, *CLASSIC_NAMES]
            raise KeyError(unknown(f"key of {type(self).__name__}", key, known))
        return name

    def __getitem__(self, key: str) -> Any:
        return self._values[self._name(key)]

    def __setitem__(self, key: str, value: Any) -> None:
        if self._frozen:
            raise AttributeError(
                f"cannot set {key!r}: this configuration is frozen (an algorithm has it)"
            )
        name = self._name(key)
        if name == "model":
            value = self._merged_model(value)
            if "vf_share_layers" in self._values:  # the same setting under two names
                self._values["vf_share_layers"] = value["vf_share_layers"]
        elif name == "evaluation_duration" and key == "evaluation_num_episodes":
            self._values["evaluation_duration_unit"] = "episodes"
        elif name == "vf_share_layers" and isinstance(value, bool):
            self._values["model"]["vf_share_layers"] = value
        elif name in ("env_config", "exploration_config") and isinstance(value, Mapping):
            value = {**value}
        self._values[name] = value

    def _merged_model(self, given: Any) -> dict[str, Any]:
        if hasattr(given, "__dataclass_fields__"):
            given = {name: getattr(given, name) for name in given.__dataclass_fields__}
        if not isinstance(given, Mapping | None):
            raise TypeError(
                f"config['model'] must be a dict or a DefaultModelConfig, not {given!r}"
            )
        merged = dict(self._values["model"])
        for key, value in (given or {}).items():
            name = MODEL_NAMES.get(key, key)
            if name not in MODEL_DEFAULTS:
                known = [*MODEL_DEFAULTS, *MODEL_NAMES]
                raise KeyError(unknown("key of config['model']", key, known))
            merged[name] = value
        return merged

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_values" not in vars(self):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            methods = [one for one in SECTIONS if hasattr(type(self), one)]
            known = [*methods, *self._values, *CLASSIC_NAMES]
            raise AttributeError(
                unknown(f"setting or method of {type(self).__name__}", name, known)
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self) or name in vars(type(self)):
            object.__setattr__(self, name, value)
            return
        try:
            self[name] = value
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __contains__(self, key: object) -> bool:
        return key in self._values or CLASSIC_NAMES.get(str(key)) in self._values

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default

    def keys(self) -> Any:
        return self.to_dict().keys()

    def items(self) -> Any:
        return self.to_dict().items()

    def values(self) -> Any:
        return self.to_dict().values()

    def pop(self, key: str, default: Any = None) -> Any:
        """The value of a key, which has its default from then on."""
        value = self.get(key, default)
        if key in self:
            self[key] = type(self)()[key]
        return value

    def get_state(self) -> dict[str, Any]:
        """to_dict(), with Ray 2.x's name."""
        return self.to_dict()

    serialize = get_state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> AlgorithmConfig:
        """The inverse of get_state()."""
        return cls.from_dict(state)

    @staticmethod
    def DEFAULT_POLICY_MAPPING_FN(
        aid: Any, episode: Any = None, worker: Any = None, **_: Any
    ) -> str:
        """Every agent has "default_policy"."""
        return "default_policy"

    DEFAULT_AGENT_TO_MODULE_MAPPING_FN = DEFAULT_POLICY_MAPPING_FN

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AlgorithmConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.algo_class, self._values, self._frozen)

    # A builder

    def _set(self, section: str, settings: Mapping[str, Any], own: bool = False) -> Any:
        for key, value in settings.items():
            if value is NotProvided:
                continue
            try:
                name = self._name(key)
            except KeyError as error:
                raise TypeError(f"{section}(): {error.args[0]}") from None
            if not (name in SECTIONS[section] or (own and self._trains(name))):
                where = next((s for s, keys in SECTIONS.items() if name in keys), "training")
                raise TypeError(f"{section}() does not take {key!r}; {where}() does")
            self[key] = value
        return self

    def _trains(self, name: str) -> bool:
        return name in TRAINING or name not in COMMON

    def environment(self, env: Any = NotProvided, **settings: Any) -> Any:
        """Which environment (id, class, registered name) and how: env_config, observation_space, action_space,
        clip_rewards, normalize_actions, clip_actions, horizon..."""
        return self._set("environment", {"env": env, **settings})

    def env_runners(self, **settings: Any) -> Any:
        """Who samples: num_env_runners (0: the algorithm itself), num_envs_per_env_runner,
        rollout_fragment_length (steps of one environment, or "auto"), batch_mode, observation_filter, explore..."""
        return self._set("env_runners", settings)

    def rollouts(self, **settings: Any) -> Any:
        """The older name of env_runners()."""
        return self._set("env_runners", settings)

    def resources(self, **settings: Any) -> Any:
        """num_gpus, num_cpus_for_main_process, num_cpus_per_env_runner, placement_strategy..."""
        return self._set("resources", settings)

    def learners(self, **settings: Any) -> Any:
        """num_learners (0 and 1: the algorithm itself; more: actors that average gradients, with PyTorch), num_cpus_per_learner,
        num_gpus_per_learner, learner_backend ("auto", "native", "torch"), cuda_graph."""
        return self._set("learners", settings)

    def training(self, **settings: Any) -> Any:
        """lr, gamma, train_batch_size, model, grad_clip and the algorithm's own settings."""
        return self._set("training", settings, own=True)

    def framework(self, framework: Any = NotProvided, **settings: Any) -> Any:
        """ "torch" is the only one; others raise NotImplementedError in build_algo()."""
        return self._set("framework", {"framework": framework, **settings})

    def rl_module(self, model_config: Any = NotProvided, **settings: Any) -> Any:
        """model_config: as training(model=); rl_module_spec: an RLModuleSpec or the class of a module."""
        if model_config is not NotProvided:
            self["model"] = model_config
        return self._set("rl_module", settings)

    def evaluation(self, **settings: Any) -> Any:
        """evaluation_interval (iterations), evaluation_duration with its unit, evaluation_num_env_runners,
        evaluation_parallel_to_training, evaluation_config (overrides), custom_evaluation_function."""
        return self._set("evaluation", settings)

    def callbacks(self, callbacks_class: Any = NotProvided, **hooks: Any) -> Any:
        """A subclass of DefaultCallbacks (or several in a list), or single functions: on_episode_end=f."""
        if hooks:
            from .callbacks import from_functions

            base = None if callbacks_class is NotProvided else callbacks_class
            callbacks_class = from_functions(base or self._values["callbacks"], hooks)
        return self._set("callbacks", {"callbacks": callbacks_class})

    def multi_agent(self, **settings: Any) -> Any:
        """policies (ids, or id: PolicySpec), policy_mapping_fn(agent_id, episode, ...), policies_to_train."""
        return self._set("multi_agent", settings)

    def offline_data(self, **settings: Any) -> Any:
        """input_ ("sampler", a path, a list of paths, a function) and output (a path)."""
        return self._set("offline_data", settings)

    def fault_tolerance(self, **settings: Any) -> Any:
        """restart_failed_env_runners, ignore_env_runner_failures, restart_failed_sub_environments..."""
        return self._set("fault_tolerance", settings)

    def debugging(self, **settings: Any) -> Any:
        """seed, log_level, logger_creator..."""
        return self._set("debugging", settings)

    def reporting(self, **settings: Any) -> Any:
        """metrics_num_episodes_for_smoothing, min_time_s_per_iteration (seconds)..."""
        return self._set("reporting", settings)

    def python_environment(self, **settings: Any) -> Any:
        """Variables of the environment: without effect; runtime_env of init() sets them."""
        return self._set("python_environment", settings)

    def checkpointing(self, **settings: Any) -> Any:
        return self._set("checkpointing", settings)

    def experimental(self, **settings: Any) -> Any:
        return self._set("experimental", settings)

    def api_stack(self, *_stack: Any, **settings: Any) -> Any:
        """There is one implementation: the choice between Ray's two changes nothing."""
        return self._set("api_stack", settings)

    # Use

    def build_algo(
        self, env: Any = None, logger_creator: Any = None, use_copy: bool = True
    ) -> Algorithm:
        """The algorithm. env: overrides environment(env). ValueError, NotImplementedError: a setting's fault."""
        if self.algo_class is None:
            raise ValueError(
                "this configuration belongs to no algorithm; use that of one, as PPOConfig()"
            )
        config = self.copy(copy_frozen=False) if use_copy else self
        return self.algo_class(config=config, env=env, logger_creator=logger_creator)

    build = build_algo

    @property
    def is_offline(self) -> bool:
        """Whether it learns from recorded experience."""
        return bool(self["input"] != "sampler")

    @property
    def is_online(self) -> bool:
        """Whether it learns from what it samples."""
        return not self.is_offline

    def get_evaluation_config_object(self) -> AlgorithmConfig:
        """The settings of evaluation: these with evaluation_config's."""
        made = self.copy(copy_frozen=False)
        overrides = self["evaluation_config"]
        if overrides:
            made.update_from_dict(
                overrides if isinstance(overrides, Mapping) else overrides.to_dict()
            )
        made["in_evaluation"] = True
        return made

    def get_config_for_module(self, module_id: str) -> AlgorithmConfig:
        """The settings of one policy: these with its overrides."""
        made = self.copy(copy_frozen=False)
        made.update_from_dict(self["algorithm_config_overrides_per_module"].get(module_id) or {})
        return made

    def validate_train_batch_size_vs_rollout_fragment_length(self) -> None:
        """Nothing: a batch is made of as many whole fragments as it needs."""

    @property
    def is_multi_agent(self) -> bool:
        """Whether there are policies besides "default_policy"."""
        return set(policy_specs(self["policies"])) != {"default_policy"}

    @property
    def total_train_batch_size(self) -> int:
        """Steps of one iteration, before it is rounded up to whole fragments."""
        per_learner = self["train_batch_size_per_learner"]
        return int(
            per_learner * max(self["num_learners"], 1) if per_learner else self["train_batch_size"]
        )

    @property
    def cpus_of_learner(self) -> float:
        """CPUs of each learner that is a process of its own."""
        cpus = self["num_cpus_per_learner"]
        return 1.0 if cpus == "auto" else float(cpus)

    def get_rollout_fragment_length(self) -> int:
        """Steps of each environment in one fragment; "auto": so that one round gives the train batch."""
        length = self["rollout_fragment_length"]
        if length != "auto":
            return int(length)
        envs = max(self["num_env_runners"], 1) * self["num_envs_per_env_runner"]
        return math.ceil(self.total_train_batch_size / envs)

    def validate(self) -> None:
        """Raises ValueError or NotImplementedError for values that cannot be."""
        framework = self["framework"]
        if framework in _FRAMEWORKS_LATER:
            raise NotImplementedError(
                f'framework="{framework}" is not implemented in eagleray.rllib; "torch" is'
            )
        if framework != "torch":
            raise ValueError(unknown("framework", framework, ["torch"]))
        if self["batch_mode"] not in ("truncate_episodes", "complete_episodes"):
            raise ValueError(
                unknown(
                    "batch_mode", self["batch_mode"], ["truncate_episodes", "complete_episodes"]
                )
            )
        if self["observation_filter"] not in (
            "NoFilter",
            "MeanStdFilter",
            "ConcurrentMeanStdFilter",
            None,
        ):
            raise ValueError(
                unknown(
                    "observation_filter", self["observation_filter"], ["NoFilter", "MeanStdFilter"]
                )
            )
        if self["learner_backend"] not in ("auto", "native", "torch"):
            raise ValueError(
                unknown("learner_backend", self["learner_backend"], ["auto", "native", "torch"])
            )
        check_values(self)
        if self.is_offline and not getattr(self.algo_class, "reads_input", True):
            raise ValueError(
                f"{self.algo_class.__name__} learns from what it samples itself: config['input'] is for BC and MARWIL"
            )
        if self["off_policy_estimation_methods"]:
            from ..offline.estimators.estimator import estimator_settings

            estimator_settings(self["off_policy_estimation_methods"])
        exploration_type(self["exploration_config"])
        self._validate_unavailable()

    def _validate_unavailable(self) -> None:
        """NotImplementedError: what would change what is learned, and is not here."""
        model = self["model"]
        for key in UNAVAILABLE:
            if model[key]:
                raise NotImplementedError(
                    f"config['model']['{key}'] is not implemented in eagleray.rllib"
                )
        if self["num_learners"] > 1 and not getattr(self.algo_class, "shares_learning", True):
            raise NotImplementedError(
                f"num_learners={self['num_learners']}: {self.algo_class.__name__} learns in one process"
            )
        if self["sample_async"]:
            raise NotImplementedError("config['sample_async'] is not implemented in eagleray.rllib")
        mode = getattr(self["gym_env_vectorize_mode"], "value", self["gym_env_vectorize_mode"])
        if str(mode).lower() not in ("sync", "async"):
            raise NotImplementedError(
                f"config['gym_env_vectorize_mode']={mode!r} is not implemented; there are sync and async"
            )
        if self.is_multi_agent and self["soft_horizon"]:
            raise NotImplementedError("config['soft_horizon'] is for environments of one agent")

    @property
    def envs_in_processes(self) -> bool:
        """Whether each environment has a process of its own, by either setting that says so."""
        mode = getattr(self["gym_env_vectorize_mode"], "value", self["gym_env_vectorize_mode"])
        return bool(self["remote_worker_envs"]) or str(mode).lower() == "async"

    def without_effect(self) -> list[str]:
        """The keys that were set to something which changes nothing here (docs/user/rllib.md)."""
        found = [
            key for key, harmless in IGNORED.items() if not _among(self._values[key], harmless)
        ]
        return found + [
            f"model/{key}"
            for key, harmless in MODEL_IGNORED.items()
            if not _among(self._values["model"][key], harmless)
        ]


def _among(value: Any, harmless: Any) -> bool:
    return value is None or any(value is one or value == one for one in harmless)


def policy_specs(policies: Any) -> dict[str, Any]:
    """`policies` in its three spellings (ids, id: spec, None) as a dict."""
    if isinstance(policies, Mapping):
        return dict(policies)
    return dict.fromkeys(policies or ["default_policy"])


def _rebuild(
    cls: type[AlgorithmConfig], algo_class: Any, values: dict[str, Any], frozen: bool
) -> Any:
    made = cls(algo_class=algo_class)
    vars(made).update(_values=values, _frozen=frozen)
    return made
