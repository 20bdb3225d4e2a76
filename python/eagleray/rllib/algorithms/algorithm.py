"""Algorithm: what trains. A Trainable of Tune with policies, rollout workers and a training_step().

Driven by train(): sample, learn, evaluate, report. Subclasses define training_step(), their configuration
and the class of their policies.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eagleray.tune import Trainable

from ..env.make import env_name
from ..evaluation.collected import Perf, Request
from ..evaluation.policies import trained
from ..evaluation.rollout_worker import set_log_level
from ..evaluation.worker_set import WorkerSet
from ..policy.choice import describe
from ..policy.sample_batch import DEFAULT_POLICY_ID, MultiAgentBatch, concat_samples
from ..utils.by_name import by_name
from ..utils.dicts import merge_dicts
from ..utils.metrics_logger import MetricsLogger
from .algorithm_config import AlgorithmConfig
from .callbacks import make_callbacks
from .evaluation import Evaluation
from .results import (
    EpisodeHistory,
    Timers,
    episode_metrics,
    learner_names,
    merge_answers,
    new_names,
    system_perf,
)
from .settings import Settings

__all__ = ["Algorithm"]

logger = logging.getLogger("eagleray.rllib")


@by_name(
    policies_of_a_running_algorithm="add_policy remove_policy add_module remove_module",
    evaluation_from_recorded_experience="evaluate_offline restore_offline_eval_runners",
    components_of_checkpoints="get_checkpointable_components get_ctor_args_and_kwargs",
    weights_of_TensorFlow="import_policy_model_from_h5 import_model",
    trainers_by_template="with_updates",
    results_before_they_are_complete="get_auto_filled_metrics",
)
class Algorithm(Trainable):
    """config: a dict (Ray 1.x), an AlgorithmConfig, or None; env: overrides config["env"].

    train() returns the result of an iteration, save() and restore() keep everything it needs to go on as if
    nothing had happened, compute_single_action() acts.
    """

    _allow_unknown_configs = False
    _config_class: type[AlgorithmConfig] = AlgorithmConfig
    # Whether its updates are those of learn(), which several learners can share.
    shares_learning = True
    # Whether it learns from config["input"].
    reads_input = False

    def __init__(
        self, config: Any = None, env: Any = None, logger_creator: Any = None, **kwargs: Any
    ) -> None:
        made = self._as_config(config)
        if env is not None:
            made["env"] = env
        if logger_creator is None:
            logger_creator = made["logger_creator"]
        self._algorithm_config = made
        super().__init__(config=Settings(made.to_dict()), logger_creator=logger_creator, **kwargs)

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        """The configuration with which this algorithm starts."""
        return cls._config_class(algo_class=cls)

    @classmethod
    def get_default_policy_class(cls, config: Any) -> Any:
        """The class of policies whose PolicySpec names none."""
        raise NotImplementedError(f"{cls.__name__} has no policies")

    @classmethod
    def _as_config(cls, config: Any) -> AlgorithmConfig:
        if isinstance(config, AlgorithmConfig):
            made = config.copy(copy_frozen=False)
        else:
            made = cls._config_class.from_dict(config or {})
        vars(made)["algo_class"] = cls
        return made

    @classmethod
    def default_resource_request(cls, config: Any) -> Any:
        """What a trial needs: a bundle for the algorithm, one for each rollout and evaluation worker."""
        from eagleray.tune import PlacementGroupFactory

        made = cls._as_config(config)
        learners = made["num_learners"] if made["num_learners"] > 1 else 0
        own_gpus = made["num_gpus"] or (0 if learners else made["num_gpus_per_learner"])
        driver = {"CPU": made["num_cpus_for_main_process"], "GPU": 0 if learners else own_gpus}
        worker = {
            "CPU": made["num_cpus_per_env_runner"],
            "GPU": made["num_gpus_per_env_runner"],
            **made["custom_resources_per_env_runner"],
        }
        learner = {"CPU": made.cpus_of_learner, "GPU": made["num_gpus_per_learner"]}
        evaluators = made["evaluation_num_env_runners"] if made["evaluation_interval"] else 0
        count = made["num_env_runners"] + evaluators
        return PlacementGroupFactory(
            [
                {**driver, **made["custom_resources_for_main_process"]},
                *[dict(worker)] * count,
                *[dict(learner)] * learners,
            ],
            strategy=made["placement_strategy"],
        )

    @classmethod
    def resource_help(cls, config: Any) -> str:
        return (
            "a trial of RLlib needs num_cpus_for_driver + num_workers * num_cpus_per_worker CPUs; lower "
            "num_workers, or set num_cpus_per_worker=0"
        )

    # Life

    def setup(self, config: Any) -> None:
        """Makes workers and policies. ValueError and NotImplementedError say what the configuration lacks."""
        made = self._algorithm_config
        made.validate()
        set_log_level(made)
        silent = made.without_effect()
        if silent:
            logger.warning(
                "these settings have no effect in eagleray.rllib (docs/user/rllib.md says why): %s",
                ", ".join(silent),
            )
        self.callbacks = make_callbacks(made["callbacks"])
        made.freeze()
        self._counters = dict.fromkeys(
            (
                "num_env_steps_sampled",
                "num_env_steps_trained",
                "num_agent_steps_sampled",
                "num_agent_steps_trained",
            ),
            0,
        )
        self._timers = Timers()
        self._module_steps: dict[str, tuple[int, int]] = {}  # of this iteration, of all
        self._history = EpisodeHistory(made["metrics_num_episodes_for_smoothing"])
        seed = made["seed"]
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self.metrics = MetricsLogger()
        self._latest: list[Any] = []
        self._filters_sent: dict[str, Any] = {}
        self._learners: Any = None
        self.workers = self._make_workers()
        self.env_runner_group = self.workers
        self._evaluation = Evaluation(self)
        for policy in self.workers.local_worker().policy_map.values():
            logger.info("%s: %s", self, describe(policy))
        self.callbacks("on_algorithm_init", algorithm=self, metrics_logger=self.metrics)

    def _make_workers(self) -> WorkerSet:
        config = self._algorithm_config
        count = config["num_env_runners"]
        if config["env"] is None and config["input"] == "sampler":
            raise ValueError(
                "config['env'] is not set: name an environment, or give offline data as input"
            )
        if config["input"] != "sampler":
            return WorkerSet(config, 0, local_env=config["env"] is not None)
        local = count == 0 or config["create_env_on_driver"]
        return WorkerSet(config, count, local_env=bool(local))

    def cleanup(self) -> None:
        """Ends the workers."""
        if "workers" in vars(self):
            self.workers.stop()
        if vars(self).get("_learners") is not None:
            self._learners.stop()
        if "_evaluation" in vars(self):
            self._evaluation.stop()

    # Training

    def training_step(self) -> dict[str, Any]:
        """One round of sampling and learning; gives what `info/learner` shows, by policy."""
        raise NotImplementedError(f"{type(self).__name__} has no training_step()")

    def step(self) -> dict[str, Any]:
        """One iteration: training steps until the minima of the configuration are reached."""
        config = self._algorithm_config
        began = time.monotonic()
        before = dict(self._counters)
        self._latest = []
        evaluating = self._evaluation.begin_if_parallel(self.iteration + 1)
        calls = 0
        while True:
            started = time.monotonic()
            learner = self.training_step()
            calls += 1
            self._timers.add("training_step", time.monotonic() - started)
            seconds = time.monotonic() - began
            sampled = self._counters["num_env_steps_sampled"] - before["num_env_steps_sampled"]
            trained_now = self._counters["num_env_steps_trained"] - before["num_env_steps_trained"]
            if (
                seconds >= (config["min_time_s_per_iteration"] or 0)
                and sampled >= (config["min_sample_timesteps_per_iteration"] or 0)
                and trained_now >= (config["min_train_timesteps_per_iteration"] or 0)
            ):
                break
        self._timers.add("training_iteration", time.monotonic() - began)
        result = self._result(learner, before, time.monotonic() - began)
        result["num_training_step_calls_per_iteration"] = calls
        started = time.monotonic()
        evaluation = self._evaluation.finish_or_run(self.iteration + 1, evaluating)
        if evaluation:
            result["evaluation"] = evaluation
            self._timers.add("evaluation_iteration", time.monotonic() - started)
            result["timers"] = self._timers.milliseconds()
        self._curriculum(result)
        return result

    def train(self) -> dict[str, Any]:
        """One iteration; its result. docs/user/rllib.md explains the fields."""
        result: dict[str, Any] = super().train()
        recreated = self.workers.take_recreated()
        if recreated:
            arguments = {"algorithm": self, "is_evaluation": False}
            self.callbacks(
                "on_env_runners_recreated",
                env_runner_group=self.workers,
                env_runner_indices=recreated,
                **arguments,
            )
            self.callbacks(
                "on_workers_recreated", worker_set=self.workers, worker_ids=recreated, **arguments
            )
        result["config"] = self.config
        return result

    def _complete(self, result: dict[str, Any], seconds: float) -> dict[str, Any]:
        self.callbacks(
            "on_train_result", algorithm=self, result=result, metrics_logger=self.metrics
        )
        logged = self.metrics.reduced()
        for name, value in logged.items():
            result.setdefault(name, value)
            result["env_runners"].setdefault(name, value)  # where Ray has what episodes log
        return super()._complete(result, seconds)

    def sample(self, steps: int) -> Any:
        """A batch of at least `steps` environment steps in whole fragments, from all workers, on the present
        weights."""
        config = self._algorithm_config
        began = time.monotonic()
        length = config.get_rollout_fragment_length()
        rounds = max(-(-steps // (length * self.workers.num_envs)), 1)
        weights = None
        if self.workers.num_remote_workers():
            weights = self.workers.local_worker().get_weights()
        self._timers.add("update", time.monotonic() - began)
        request = Request(
            "fragments",
            rounds,
            self._counters["num_env_steps_sampled"],
            None,
            self._filter_states(),
        )
        answers = self.workers.collect(weights, request)
        env_steps = self._count_sampled(answers)
        loading = time.monotonic()
        batch = concat_samples([answer.batch for answer in answers])
        self._timers.add("load", time.monotonic() - loading, env_steps)
        for name, part in batch.as_multi_agent().policy_batches.items():
            now, total = self._module_steps.get(name, (0, 0))
            self._module_steps[name] = (now + part.count, total + part.count)
        self._timers.add("sample", time.monotonic() - began, env_steps)
        return batch

    def _count_sampled(self, answers: list[Any]) -> int:
        """Notes what workers answered: episodes, filters, metrics, counters. How many steps of environments they made."""
        self._take_filters(answers)
        _, _, env_steps, agent_steps = merge_answers(answers)
        self._latest.extend(answers)
        self._counters["num_env_steps_sampled"] += env_steps
        self._counters["num_agent_steps_sampled"] += agent_steps
        for answer in answers:
            self.metrics.merge(answer.metrics)
        return env_steps

    def learn(self, batch: Any, epochs: int, minibatch: int | None) -> dict[str, Any]:
        """Epochs of minibatches over a batch, for each policy that learns."""
        began = time.monotonic()
        env_steps = batch.env_steps()
        multi = batch if isinstance(batch, MultiAgentBatch) else batch.as_multi_agent()
        info: dict[str, Any] = {}
        local = self.workers.local_worker()
        for name in sorted(multi.policy_batches):
            if not trained(self._algorithm_config, name, multi):
                continue
            policy, part = local.policy_map[name], multi.policy_batches[name]
            extra: dict[str, Any] = {}
            self.callbacks("on_learn_on_batch", policy=policy, train_batch=part, result=extra)
            policy.on_global_var_update({"timestep": self._counters["num_env_steps_sampled"]})
            info[name] = self._learn(name, policy, part, epochs, minibatch)
            info[name]["num_agent_steps_trained"] = part.count
            info[name]["custom_metrics"] = extra
        self._counters["num_env_steps_trained"] += env_steps
        self._counters["num_agent_steps_trained"] += multi.agent_steps()
        self._timers.add("learn", time.monotonic() - began, env_steps)
        return info

    def _learn(
        self, name: str, policy: Any, part: Any, epochs: int, minibatch: int | None
    ) -> dict[str, Any]:
        if self._algorithm_config["num_learners"] < 2:
            learned: dict[str, Any] = policy.learn(part, epochs, minibatch, self._generator)
            return learned
        if self._learners is None:
            from ..learners import LearnerGroup

            local = self.workers.local_worker()
            self._learners = LearnerGroup(self._algorithm_config, local.policy_map)
        return self._learners.learn(name, policy, part, epochs, minibatch, self._generator)

    # Filters

    def _filter_states(self) -> dict[str, Any]:
        filters = self.workers.local_worker().filters
        return {name: part.get_state() for name, part in filters.items() if part.is_filter}

    def _take_filters(self, answers: list[Any]) -> None:
        filters = self.workers.local_worker().filters
        for answer in answers:
            for name, delta in answer.filter_deltas.items():
                filters[name].add(delta)

    # Results

    def _result(
        self, learner: dict[str, Any], before: dict[str, int], seconds: float
    ) -> dict[str, Any]:
        config = self._algorithm_config
        episodes, perf, _, _ = merge_answers(self._latest)
        window = self._history.add(episodes)
        keep = config["keep_per_episode_custom_metrics"]
        metrics = episode_metrics(window, episodes, perf, keep)
        counters = self._counters
        env_steps = counters["num_env_steps_sampled"] - before["num_env_steps_sampled"]
        agent_steps = counters["num_agent_steps_sampled"] - before["num_agent_steps_sampled"]
        trained_steps = counters["num_env_steps_trained"] - before["num_env_steps_trained"]
        info = {"learner": learner, **counters}
        info["num_steps_sampled"] = counters["num_env_steps_sampled"]
        info["num_steps_trained"] = counters["num_env_steps_trained"]
        result: dict[str, Any] = {
            **metrics,
            **counters,
            "episodes_total": self._history.total,
            "info": info,
            "counters": dict(counters),
            "env_runners": {
                **new_names(
                    metrics,
                    counters,
                    {"env": env_steps, "agent": agent_steps},
                    self._module_steps,
                ),
                "num_episodes_lifetime": self._history.total,
            },
            "learners": learner_names(learner, (trained_steps, counters["num_env_steps_trained"])),
            "num_healthy_workers": self.workers.num_remote_workers(),
            "num_remote_worker_restarts": self.workers.restarts,
            "num_env_runners_dropped_lifetime": self.workers.dropped,
            "fault_tolerance": {
                "num_healthy_workers": self.workers.num_remote_workers(),
                "num_remote_worker_restarts": self.workers.restarts,
                "num_env_runners_dropped_lifetime": self.workers.dropped,
            },
            "timers": self._timers.milliseconds(),
            "timesteps_total": counters[self._steps_counted()],
            "agent_timesteps_total": counters["num_agent_steps_sampled"],
            "num_env_steps_sampled_lifetime": counters["num_env_steps_sampled"],
            "num_agent_steps_sampled_lifetime": counters["num_agent_steps_sampled"],
            "num_env_steps_sampled_this_iter": env_steps,
            "num_env_steps_trained_this_iter": trained_steps,
            "num_steps_trained_this_iter": trained_steps,
            "num_env_steps_sampled_throughput_per_sec": env_steps / max(seconds, 1e-9),
            "num_env_steps_trained_throughput_per_sec": trained_steps / max(seconds, 1e-9),
            "experiment_id": self._experiment_id,
            "experiment_tag": "",
        }
        self._module_steps = {name: (0, total) for name, (_, total) in self._module_steps.items()}
        if config["log_sys_usage"]:
            result["perf"] = system_perf()
        return result

    def _steps_counted(self) -> str:
        by_agent = self._algorithm_config["count_steps_by"] == "agent_steps"
        return "num_agent_steps_sampled" if by_agent else "num_env_steps_sampled"

    @property
    def _experiment_id(self) -> str:
        import uuid

        return vars(self).setdefault("_made_experiment_id", uuid.uuid4().hex)

    def _curriculum(self, result: dict[str, Any]) -> None:
        """env_task_fn(result, env, env_context) -> task: given to the set_task() of every environment."""
        function = self._algorithm_config["env_task_fn"]
        if function is None:
            return

        def set_task(env: Any, context: Any) -> None:
            plain: Any = getattr(env, "unwrapped", env)
            plain.set_task(function(result, env, context))

        def set_tasks(worker: Any) -> None:
            worker.foreach_env_with_context(set_task)

        self.workers.foreach_worker(set_tasks, local_worker=self.workers.num_remote_workers() == 0)

    # Evaluation

    def evaluate(self, duration_fn: Any = None) -> dict[str, Any]:
        """One evaluation now: {"evaluation": metrics}, and the metrics' names at the top as well."""
        metrics = self._evaluation.run()
        return {"evaluation": metrics, **metrics}

    @property
    def env_runner(self) -> Any:
        """The worker in this process."""
        return self.workers.local_worker()

    @property
    def eval_env_runner_group(self) -> WorkerSet | None:
        """The workers that evaluate, once there are any."""
        return self._evaluation.workers

    @property
    def eval_env_runner(self) -> Any:
        """That of them in this process; None before the first evaluation."""
        group = self._evaluation.workers
        return None if group is None else group.local_worker()

    def restore_env_runners(self, env_runner_group: Any = None) -> list[int]:
        """[]: a worker that fails is replaced at once."""
        return []

    restore_workers = restore_env_runners

    def collect_metrics(self, selected_workers: Any = None) -> dict[str, Any]:
        """The statistics of the latest episodes."""
        window = self._history.add([])
        return episode_metrics(window, [], Perf(), False)

    @staticmethod
    def merge_algorithm_configs(
        config1: Mapping[str, Any], config2: Mapping[str, Any], *_: Any
    ) -> dict[str, Any]:
        """config1 with config2's entries, dicts within them merged likewise."""
        return merge_dicts(config1, config2)

    merge_trainer_configs = merge_algorithm_configs

    @staticmethod
    def validate_env(env: Any, env_context: Any) -> None:
        """Nothing: a subclass may raise where an environment is not for it."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Algorithm:
        """An algorithm as get_state() of another was."""
        made = cls(config=dict(state["config"]))
        made.set_state(state)
        return made

    @property
    def evaluation_workers(self) -> WorkerSet | None:
        """The workers that evaluate, once there are any."""
        return self._evaluation.workers

    # Acting

    def compute_single_action(
        self,
        observation: Any = None,
        state: Sequence[Any] | None = None,
        *,
        prev_action: Any = None,
        prev_reward: Any = None,
        info: Any = None,
        input_dict: Any = None,
        policy_id: str = DEFAULT_POLICY_ID,
        full_fetch: bool = False,
        explore: bool | None = None,
        unsquash_action: bool | None = None,
        clip_action: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """The action for one observation of the environment.

        With `state` (recurrent policies) or full_fetch=True: (action, next state, further columns). unsquash_action,
        clip_action: from [-1, 1] to the space, or clipped to it; as normalize_actions and clip_actions say where None.
        """
        if input_dict is not None:
            observation = input_dict["obs"]
        local = self.workers.local_worker()
        policy = self._policy(policy_id)
        row = local.preprocessors[policy_id].transform(observation)
        row = local.filters[policy_id](row[None], update=False)[0]
        action, states, extras = policy.compute_single_action(
            row, state, prev_action, prev_reward, info, explore
        )
        unsquash = kwargs.get("unsquash_actions", unsquash_action)  # the names of Ray 1.x
        action = _for_env(
            policy,
            action,
            self._algorithm_config["normalize_actions"] if unsquash is None else unsquash,
            self._algorithm_config["clip_actions"] if clip_action is None else clip_action,
        )
        if state or full_fetch:
            return action, states, extras
        return action

    def compute_action(self, *args: Any, **kwargs: Any) -> Any:
        """The older name of compute_single_action()."""
        return self.compute_single_action(*args, **kwargs)

    def compute_actions(
        self,
        observations: Mapping[Any, Any],
        state: Mapping[Any, Any] | None = None,
        *,
        policy_id: str = DEFAULT_POLICY_ID,
        full_fetch: bool = False,
        explore: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Actions for a dict of observations, by its keys."""
        out = {
            key: self.compute_single_action(
                obs,
                (state or {}).get(key),
                policy_id=policy_id,
                full_fetch=bool(state) or full_fetch,
                explore=explore,
                **kwargs,
            )
            for key, obs in observations.items()
        }
        if not (state or full_fetch):
            return out
        return tuple({key: value[at] for key, value in out.items()} for at in range(3))

    def _policy(self, policy_id: str) -> Any:
        policy = self.get_policy(policy_id)
        if policy is None:
            known = ", ".join(self.workers.local_worker().policy_map)
            raise KeyError(f"there is no policy {policy_id!r}; there are {known}")
        return policy

    def get_policy(self, policy_id: str = DEFAULT_POLICY_ID) -> Any:
        """The policy that learns; None if there is none of this name."""
        return self.workers.local_worker().get_policy(policy_id)

    def get_module(self, module_id: str = DEFAULT_POLICY_ID) -> Any:
        """The net of a policy as an RLModule: the user's own where there is one. It acts by
        `forward_inference({"obs": ...})["action_dist_inputs"]`."""
        policy = self._policy(module_id)
        module = None if policy.framework == "native" else getattr(policy.model, "module", None)
        if module is not None:
            return module
        from ..policy.policy_module import PolicyModule

        return PolicyModule(policy)

    def get_weights(self, policies: Sequence[str] | None = None) -> dict[str, Any]:
        """Weights by policy, each a dict of arrays."""
        return self.workers.local_worker().get_weights(policies)

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Sets them here; rollout workers have them from the next sample on."""
        self.workers.local_worker().set_weights(weights)

    # Files

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Writes everything: weights, optimisers, filters, random numbers, counters, the configuration."""
        from ..utils.checkpoints import write_algorithm

        write_algorithm(checkpoint_dir, self)
        if self._algorithm_config["export_native_model_files"]:
            for name, policy in self.workers.local_worker().policy_map.items():
                policy.export_model(os.path.join(checkpoint_dir, "policies", name, "model"))

    def load_checkpoint(self, checkpoint_dir: Any) -> None:
        from ..utils.checkpoints import read_into

        read_into(self, checkpoint_dir)
        self.callbacks("on_checkpoint_loaded", algorithm=self)

    def save_to_path(self, path: Any = None, **kwargs: Any) -> str:
        """save(), with Ray 2.x's name: the path of the checkpoint."""
        return str(self.save(None if path is None else str(path)))

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """restore(), with Ray 2.x's name."""
        self.restore(path)

    @classmethod
    def from_checkpoint(cls, path: Any, **kwargs: Any) -> Algorithm:
        """The algorithm that wrote the checkpoint, as it was then."""
        from ..utils.checkpoints import rebuild

        return rebuild(path)

    def get_state(self) -> dict[str, Any]:
        from ..utils.checkpoints import algorithm_state

        return algorithm_state(self)

    def set_state(self, state: Mapping[str, Any]) -> None:
        from ..utils.checkpoints import set_algorithm_state

        set_algorithm_state(self, state)

    def export_policy_model(
        self, export_dir: str, policy_id: str = DEFAULT_POLICY_ID, onnx: int | None = None
    ) -> None:
        """Writes a policy's net: TorchScript `model.pt`, or `model.onnx` with onnx=OPSET."""
        self._policy(policy_id).export_model(export_dir, onnx)

    def export_policy_checkpoint(
        self, export_dir: str, policy_id: str = DEFAULT_POLICY_ID, **_: Any
    ) -> None:
        """Writes a policy so that Policy.from_checkpoint() reads it."""
        self._policy(policy_id).export_checkpoint(export_dir)

    def _export_model(self, export_formats: list[str], export_dir: str) -> dict[str, str]:
        made = {}
        for kind in export_formats:
            if kind == "checkpoint":
                self.export_policy_checkpoint(export_dir)
            elif kind in ("model", "torchscript"):
                self.export_policy_model(export_dir)
            elif kind == "onnx":
                self.export_policy_model(export_dir, onnx=17)
            else:
                raise ValueError(
                    f"unknown export format {kind!r}; there are checkpoint, model and onnx"
                )
            made[kind] = export_dir
        return made

    def reset_config(self, new_config: Any) -> bool:
        """Becomes another trial: everything is made anew in this process."""
        self.cleanup()
        self._algorithm_config = self._as_config(new_config)
        self.setup(new_config)
        return True

    def get_config(self) -> Any:
        return self._algorithm_config

    def __repr__(self) -> str:
        return f"{type(self).__name__}(env={env_name(self._algorithm_config['env'])})"


def _for_env(policy: Any, action: Any, unsquash: bool, clip: bool) -> Any:
    from ..policy.actions import clip_action, unsquash_action

    if unsquash:
        return unsquash_action(action, policy.action_space)
    if clip:
        return clip_action(action, policy.action_space)
    return action
