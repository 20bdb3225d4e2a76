"""RolloutWorker: environments and policies in one process, and what is sampled with them.

It runs as an actor, or in the algorithm's own process (worker_index 0). One call at a time; only where()
may be called meanwhile, to see what it is busy with.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..algorithms.algorithm_config import policy_specs
from ..algorithms.callbacks import make_callbacks
from ..env.env_context import EnvContext
from ..env.make import env_creator, env_name
from ..policy.sample_batch import DEFAULT_POLICY_ID, MultiAgentBatch
from ..utils.by_name import by_name
from ..utils.lazy import lazily
from ..utils.metrics_logger import MetricsLogger
from .collected import Collected, Perf, Request

__all__ = ["RolloutWorker", "set_log_level"]

logger = logging.getLogger("eagleray.rllib")


@by_name(
    policies_of_a_running_algorithm="add_policy remove_policy",
    learning_in_rollout_workers="sample_and_learn setup_torch_data_parallel find_free_port",
    weights_of_TensorFlow="import_policy_model_from_h5",
    actors_of_Ray_1="as_remote",
)
class RolloutWorker:
    """config: an AlgorithmConfig whose env is set. worker_index: from 1 in actors. first_env: the global
    index of its first environment, from which seeds and random numbers follow. generation: how often this
    worker has been replaced. with_env False: policies only."""

    def __init__(
        self,
        config: Any,
        worker_index: int = 0,
        num_workers: int = 0,
        first_env: int = 0,
        generation: int = 0,
        with_env: bool = True,
    ) -> None:
        self.config = self.policy_config = config
        self.worker_index, self.num_workers = worker_index, num_workers
        self.recreated_worker = generation > 0
        self._generation = generation
        self.metrics = MetricsLogger()
        set_log_level(config)
        self.callbacks = make_callbacks(config["callbacks"])
        self.env_indices = list(range(first_env, first_env + config["num_envs_per_env_runner"]))
        self.vector_env: Any = None
        self.clip_rewards = config["clip_rewards"]
        self.env_context = EnvContext(
            config["env_config"], worker_index, 0, False, num_workers, self.recreated_worker
        )
        self.seed = _seed(config["seed"], generation)
        self._steps = 0
        self._since = time.monotonic()
        self.is_multi_agent = False
        if with_env:
            self._make_envs()
        self._make_policies()
        self._sampler: Any = None
        self._recorder: Any = None
        self._episodes: list[Any] = []

    # Making

    def _make_envs(self) -> None:
        from ..env.vector_env import GymVector, VectorEnv

        create = env_creator(self.config["env"])

        def make(index: int) -> Any:
            env = self._made_env(create, index)
            context = self.env_context.copy_with_overrides(vector_index=index)
            arguments = {"env_context": context, "metrics_logger": self.metrics}
            self.callbacks("on_environment_created", env_runner=self, env=env, **arguments)
            self.callbacks(
                "on_sub_environment_created",
                worker=self,
                sub_environment=env,
                env_index=index,
                **arguments,
            )
            return env

        first = make(0)
        if isinstance(first, VectorEnv):
            self.vector_env = first
            if first.num_envs != len(self.env_indices):
                start = self.env_indices[0] * first.num_envs
                self.env_indices = list(range(start, start + first.num_envs))
        else:
            if not self.config["disable_env_checking"]:
                _check_env(first, self.config["env"])
            envs = [first, *(make(i) for i in range(1, len(self.env_indices)))]
            self.is_multi_agent = _is_multi_agent(first)
            if self.is_multi_agent:
                from ..env.multi_agent_vector import MultiAgentVector

                self.vector_env = MultiAgentVector(envs, make)
            else:
                self.vector_env = GymVector(envs, make)

    def _made_env(self, create: Any, index: int) -> Any:
        """The environment of this vector index, in a process of its own if the configuration says so."""
        remote = self.config.envs_in_processes
        context = self.env_context.copy_with_overrides(vector_index=index, remote=remote)
        if getattr(create, "vectorizes", False):
            if remote:
                raise ValueError("remote_worker_envs: EnvPool has threads of its own instead")
            return create(context, len(self.env_indices))
        if remote:
            from ..env.remote_env import remote_env

            config = self.config
            return remote_env(lambda: _as_deepmind(create(context), config))
        from ..env.external_env import (
            ExternalEnv,
            ExternalEnvPlayer,
            ExternalMultiAgentEnv,
            ExternalMultiAgentPlayer,
        )

        env = create(context)
        if isinstance(env, ExternalMultiAgentEnv):
            return ExternalMultiAgentPlayer(env)
        return ExternalEnvPlayer(env) if isinstance(env, ExternalEnv) else self._atari(env)

    def _atari(self, env: Any) -> Any:
        """Rewards of wrapped games are clipped to their signs for learning, unless clip_rewards says otherwise."""
        wrapped = _as_deepmind(env, self.config)
        if wrapped is not env and self.config["clip_rewards"] is None:
            self.clip_rewards = True
        return wrapped

    def _make_policies(self) -> None:
        from .policies import make_policies

        self.policy_map, self.preprocessors, self.filters = make_policies(self)
        self.policy_dict = policy_specs(self.config["policies"])
        self.policy_mapping_fn = self.config["policy_mapping_fn"]
        default = self.policy_map.get(DEFAULT_POLICY_ID)
        if default is not None:
            from ..policy.actions import ActionsToEnv

            self.actions_to_env = ActionsToEnv(
                default.action_space, self.config["normalize_actions"], self.config["clip_actions"]
            )

    # Sampling

    def collect(self, weights: Mapping[str, Any] | None, request: Request) -> Collected:
        """What the request asks for, with these weights (None: those it has)."""
        self._since = time.monotonic()
        if weights is not None:
            self.set_weights(weights)
        self.sync_filters(request.filters)
        for policy in self.policy_map.values():
            policy.on_global_var_update({"timestep": request.timestep})
        sampler = self.sampler
        if request.fresh:
            sampler.start_anew()
        explore = self.config["explore"] if request.explore is None else request.explore
        batch = self._batch(sampler, request, explore)
        records, sampler.records = sorted(sampler.records, key=lambda record: record.eps_id), []
        perf, sampler.perf = sampler.perf, Perf()
        self.callbacks(
            "on_sample_end",
            worker=self,
            env_runner=self,
            samples=batch,
            metrics_logger=self.metrics,
        )
        self._record(batch)
        multi = isinstance(batch, MultiAgentBatch)
        return Collected(
            None if request.metrics_only or request.gradients else batch,
            batch.env_steps(),
            batch.agent_steps() if multi else batch.count,
            records,
            perf,
            {name: part.take_delta() for name, part in self.filters.items() if part.is_filter},
            self.metrics.take(),
            self.compute_gradients(batch) if request.gradients else {},
        )

    def _batch(self, sampler: Any, request: Request, explore: bool) -> Any:
        length = self.config.get_rollout_fragment_length()
        if request.kind == "episodes":
            return sampler.episodes(request.amount, 0, explore)
        if self.config["batch_mode"] == "complete_episodes":
            envs = len(self.env_indices)
            steps = request.amount * (length * envs if request.kind == "fragments" else 1)
            return sampler.episodes(0, steps, explore)
        if request.kind == "steps":
            envs = len(self.env_indices)
            return sampler.fragments(1, max(-(-request.amount // envs), 1), explore)
        return sampler.fragments(request.amount, length, explore)

    def sample(self) -> Any:
        """One fragment of each environment, as a batch."""
        self.sampler.keep_all()
        answer = self.collect(None, Request())
        self._episodes += answer.episodes
        return answer.batch

    @property
    def sampler(self) -> Any:
        if self._sampler is None:
            if self.vector_env is None:
                raise ValueError("this worker has no environments to sample from")
            if self.is_multi_agent:
                from .multi_agent_sampler import MultiAgentSampler

                self._sampler = MultiAgentSampler(self)
            else:
                from .sampler import SingleAgentSampler

                self._sampler = SingleAgentSampler(self, self.policy_map[DEFAULT_POLICY_ID])
        return self._sampler

    def compute_gradients(self, batch: Any) -> dict[str, Any]:
        """By policy that learns: (gradients, {"learner_stats": ...}) of its loss over its whole batch, with the present weights."""
        from .policies import trained

        multi = batch if isinstance(batch, MultiAgentBatch) else batch.as_multi_agent()
        made: dict[str, Any] = {}
        for name, part in sorted(multi.policy_batches.items()):
            if not trained(self.config, name, multi):
                continue
            extra: dict[str, Any] = {}
            policy = self.policy_map[name]
            self.callbacks("on_learn_on_batch", policy=policy, train_batch=part, result=extra)
            gradients, info = policy.compute_gradients(part)
            made[name] = (
                gradients,
                {**info, "num_agent_steps_trained": part.count, "custom_metrics": extra},
            )
        return made

    def apply_gradients(self, gradients: Mapping[str, Any]) -> None:
        """Steps of the policies' optimisers along gradients, by policy."""
        for name, part in gradients.items():
            self.policy_map[name].apply_gradients(part)

    def _record(self, batch: Any) -> None:
        if not self.config["output"] or self.config["in_evaluation"]:
            return
        if self._recorder is None:
            from ..offline.writers import make_writer

            self._recorder = make_writer(self.config, self.worker_index)
        self._recorder.write(batch)

    def reset_seed(self, index: int, episode: int) -> int | None:
        """The seed of an environment's reset: given for its first episode only, if the run has a seed."""
        if self.config["seed"] is None or episode != 1:
            return None
        sequence = np.random.SeedSequence([self.seed, self.env_indices[index]])
        return int(sequence.generate_state(1)[0] >> 1)

    # For whoever watches

    def where(self) -> dict[str, Any]:
        """Which environment is running, if any, and since when nothing has moved; may be called at any time."""
        place = getattr(self.vector_env, "where", None)
        steps = self._sampler.perf.steps if self._sampler is not None else 0
        if steps != self._steps:
            self._steps, self._since = steps, time.monotonic()
        return {
            "doing": place[0] if place else None,
            "env": self.name_of(place[1]) if place else None,
            "seconds": time.monotonic() - self._since,
            "steps": steps,
        }

    def name_of(self, index: int) -> str:
        """How messages call one of the environments."""
        return f"{env_name(self.config['env'])} number {self.env_indices[index]} (worker {self.worker_index}, vector index {index})"

    def say(self, message: str) -> None:
        logger.warning("%s", message)

    def ping(self) -> str:
        return "pong"

    # Ray's interface

    @property
    def env(self) -> Any:
        """The first environment."""
        envs = self.vector_env.get_sub_environments() if self.vector_env is not None else []
        return envs[0] if envs else self.vector_env

    @property
    def base_env(self) -> Any:
        return self.vector_env

    def policy_for(self, agent_id: Any, episode: Any) -> str:
        """The policy of an agent, by the mapping function in whichever signature it has."""
        if not self.is_multi_agent or self.policy_mapping_fn is None:
            return DEFAULT_POLICY_ID
        from .policies import map_agent

        return map_agent(self.policy_mapping_fn, agent_id, episode, self)

    def get_policy(self, policy_id: str = DEFAULT_POLICY_ID) -> Any:
        """A policy, None if there is none of this name."""
        return self.policy_map.get(policy_id)

    def get_spaces(self) -> dict[str, Any]:
        """(observation space, action space) as the environment has them, by policy."""
        from .policies import spaces_of

        return spaces_of(self)

    def get_weights(self, policies: Sequence[str] | None = None) -> dict[str, Any]:
        return {
            name: policy.get_weights()
            for name, policy in self.policy_map.items()
            if policies is None or name in policies
        }

    def set_weights(self, weights: Mapping[str, Any], global_vars: Any = None) -> None:
        for name, value in weights.items():
            if name in self.policy_map:
                self.policy_map[name].set_weights(value)

    def get_filters(self, flush_after: bool = False) -> dict[str, Any]:
        return dict(self.filters)

    def sync_filters(self, states: Mapping[str, Any]) -> None:
        """What all workers together have seen."""
        for name, state in states.items():
            if name in self.filters:
                self.filters[name].set_state(state)

    def foreach_env(self, func: Callable[[Any], Any]) -> list[Any]:
        """func(env) of each environment."""
        envs = self.vector_env.get_sub_environments() if self.vector_env is not None else []
        return [func(env) for env in envs]

    def foreach_env_with_context(self, func: Callable[[Any, Any], Any]) -> list[Any]:
        envs = self.vector_env.get_sub_environments() if self.vector_env is not None else []
        return [
            func(env, self.env_context.copy_with_overrides(vector_index=i))
            for i, env in enumerate(envs)
        ]

    def foreach_policy(self, func: Callable[..., Any], **kwargs: Any) -> list[Any]:
        """func(policy, policy_id) of each policy."""
        return [func(policy, name, **kwargs) for name, policy in self.policy_map.items()]

    def foreach_policy_to_train(self, func: Callable[..., Any], **kwargs: Any) -> list[Any]:
        names = self.get_policies_to_train()
        return [func(self.policy_map[name], name, **kwargs) for name in sorted(names)]

    def get_policies_to_train(self, batch: Any = None) -> set[str]:
        from .policies import trained

        return {name for name in self.policy_map if trained(self.config, name, batch)}

    foreach_trainable_policy = foreach_policy_to_train

    def for_policy(
        self, func: Callable[..., Any], policy_id: str = DEFAULT_POLICY_ID, **kwargs: Any
    ) -> Any:
        """func(policy) of one policy."""
        return func(self.policy_map[policy_id], **kwargs)

    def set_policy_mapping_fn(self, policy_mapping_fn: Callable[..., str] | None = None) -> None:
        """Which policy agents have that appear from now on. None: as it was."""
        if policy_mapping_fn is not None:
            self.policy_mapping_fn = policy_mapping_fn

    def set_is_policy_to_train(self, is_policy_to_train: Any) -> None:
        """Which policies learn: names, or a function of (policy_id, batch)."""
        config = self.config.copy(copy_frozen=False)
        config["policies_to_train"] = is_policy_to_train
        self.config = self.policy_config = config

    def sample_with_count(self) -> tuple[Any, int]:
        """sample(), and its environment steps."""
        batch = self.sample()
        return batch, batch.env_steps()

    def learn_on_batch(self, samples: Any) -> dict[str, Any]:
        """One update of each policy that learns, in this process; its statistics by policy."""
        batches = samples.as_multi_agent().policy_batches
        names = self.get_policies_to_train(samples)
        return {
            name: self.policy_map[name].learn_on_batch(part)
            for name, part in sorted(batches.items())
            if name in names
        }

    def get_metrics(self) -> list[Any]:
        """The episodes that ended in sample() since the last call."""
        taken, self._episodes = self._episodes, []
        return taken

    def get_global_vars(self, policy_id: str = DEFAULT_POLICY_ID) -> dict[str, int]:
        """{"timestep": of all workers together, as far as known here}."""
        return {"timestep": self.policy_map[policy_id].global_timestep}

    def set_global_vars(self, global_vars: Mapping[str, Any], policy_ids: Any = None) -> None:
        """Tells the policies the time step, from which schedules follow."""
        for name, policy in self.policy_map.items():
            if policy_ids is None or name in policy_ids:
                policy.on_global_var_update(global_vars)

    def assert_healthy(self) -> None:
        """ValueError: it has no policies."""
        if not self.policy_map:
            raise ValueError("this worker has no policies")

    def lock(self) -> None:
        """Nothing: one call at a time is in a worker."""

    def unlock(self) -> None:
        """Nothing, as lock()."""

    def get_node_ip(self) -> str:
        """The address of its machine."""
        from eagleray.util import get_node_ip_address

        return get_node_ip_address()

    def creation_args(self) -> dict[str, Any]:
        """What it was made with."""
        return {
            "config": self.config,
            "worker_index": self.worker_index,
            "num_workers": self.num_workers,
        }

    def export_policy_model(
        self, export_dir: str, policy_id: str = DEFAULT_POLICY_ID, onnx: int | None = None
    ) -> None:
        """Writes a policy's net: see Algorithm.export_policy_model()."""
        self.policy_map[policy_id].export_model(export_dir, onnx)

    def export_policy_checkpoint(
        self, export_dir: str, policy_id: str = DEFAULT_POLICY_ID, **_: Any
    ) -> None:
        """Writes a policy so that Policy.from_checkpoint() reads it."""
        self.policy_map[policy_id].export_checkpoint(export_dir)

    def save(self) -> bytes:
        """Policies' and filters' states, for restore()."""
        from eagleray import cloudpickle

        state = {
            "policies": {name: policy.get_state() for name, policy in self.policy_map.items()},
            "filters": {name: part.get_state() for name, part in self.filters.items()},
        }
        return cloudpickle.dumps(state)

    def restore(self, objs: bytes) -> None:
        """Takes over what save() gave. It is a pickle: only of what you trust."""
        import pickle

        state = pickle.loads(objs)
        for name, value in state["policies"].items():
            self.policy_map[name].set_state(value)
        self.sync_filters(state["filters"])

    def apply(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """func(this worker, ...)."""
        return func(self, *args, **kwargs)

    def get_host(self) -> str:
        import platform

        return platform.node()

    def get_state(self) -> dict[str, Any]:
        """Random numbers and counters, so that a checkpoint continues with what would have come next."""
        return {"sampler": self._sampler.get_state() if self._sampler is not None else None}

    def set_state(self, state: Mapping[str, Any]) -> None:
        if state["sampler"] is not None:
            self.sampler.set_state(state["sampler"])

    def stop(self) -> None:
        """Closes the environments and files."""
        if self._recorder is not None:
            self._recorder.close()
        for env in self.vector_env.get_sub_environments() if self.vector_env is not None else []:
            close = getattr(env, "close", None)
            if callable(close):
                close()


def set_log_level(config: Any) -> None:
    """`log_level`, where it is not Ray's default: of the library's messages in this process."""
    level = str(config["log_level"]).upper()
    if level not in ("WARN", "WARNING", "NONE"):
        logger.setLevel(level)


def _as_deepmind(env: Any, config: Any) -> Any:
    """Atari's games as DeepMind's papers have them, unless preprocessor_pref says otherwise."""
    if config["preprocessor_pref"] != "deepmind" or not hasattr(env, "unwrapped"):
        return env
    from ..env.wrappers.atari_wrappers import is_atari, wrap_deepmind

    if config["is_atari"] is False or not is_atari(env):
        return env
    model = config["model"]
    skips = config["env_config"].get("frameskip") == 1
    return wrap_deepmind(env, int(model["dim"]), bool(model["framestack"]), skips)


def _seed(seed: int | None, generation: int) -> int:
    """From which the worker's random numbers follow, together with the indices of its environments."""
    if seed is None:
        return int(np.random.default_rng().integers(1 << 31))
    return (
        int(np.random.SeedSequence([seed, generation]).generate_state(1)[0])
        if generation
        else int(seed)
    )


def _is_multi_agent(env: Any) -> bool:
    from ..env.multi_agent_env import MultiAgentEnv

    return isinstance(env, MultiAgentEnv)


def _check_env(env: Any, configured: Any) -> None:
    """Says at once, and in words, what would fail later in the middle of a loop."""
    from gymnasium import spaces

    name = env_name(configured)
    missing = [method for method in ("reset", "step") if not callable(getattr(env, method, None))]
    if missing:
        raise ValueError(f"the environment {name} has no {' and no '.join(missing)}()")
    if _is_multi_agent(env):
        return
    for attribute in ("observation_space", "action_space"):
        space = getattr(env, attribute, None)
        if not isinstance(space, spaces.Space):
            raise ValueError(
                f"{attribute} of the environment {name} is {space!r}; it must be a space of gymnasium.spaces"
            )


__getattr__ = lazily(__name__)  # names that are planned
