"""Every key that a configuration may have, its default, and its older spelling.

The current names are the canonical ones; `CLASSIC_NAMES` maps what Ray 1.x called them. Both are
accepted everywhere a key is, and nothing else is. docs/user/rllib.md explains those that matter.
"""

from __future__ import annotations

from typing import Any

from ..models.defaults import MODEL_DEFAULTS

__all__ = ["CLASSIC_DEFAULTS", "CLASSIC_NAMES", "COMMON", "IGNORED", "OPEN_KEYS"]

COMMON: dict[str, Any] = {
    # environment
    "env": None,
    "env_config": {},
    "observation_space": None,
    "action_space": None,
    "clip_rewards": None,
    "normalize_actions": True,
    "clip_actions": False,
    "is_atari": None,
    "render_env": False,
    "disable_env_checking": False,
    "action_mask_key": "action_mask",
    "env_task_fn": None,
    "horizon": None,
    "soft_horizon": False,
    "no_done_at_end": False,
    # env runners (rollout workers)
    "num_env_runners": 2,
    "num_envs_per_env_runner": 1,
    "num_cpus_per_env_runner": 1,
    "num_gpus_per_env_runner": 0,
    "custom_resources_per_env_runner": {},
    "create_env_on_driver": False,
    "rollout_fragment_length": "auto",
    "batch_mode": "truncate_episodes",
    "sample_timeout_s": 60.0,
    "observation_filter": "NoFilter",
    "update_worker_filter_stats": True,
    "compress_observations": False,
    "preprocessor_pref": "deepmind",
    "explore": True,
    "exploration_config": {"type": "StochasticSampling"},
    "remote_worker_envs": False,
    "sample_async": False,
    "gym_env_vectorize_mode": "sync",
    # training
    "gamma": 0.99,
    "lr": 0.0001,
    "lr_schedule": None,
    "grad_clip": None,
    "grad_clip_by": "global_norm",
    "train_batch_size": 200,
    "train_batch_size_per_learner": None,
    "model": dict(MODEL_DEFAULTS),
    "optimizer": {},
    "framework": "torch",
    "learner_backend": "auto",
    "cuda_graph": True,
    "num_learners": 0,
    "num_gpus_per_learner": 0,
    "num_cpus_per_learner": 1,
    "num_gpus": 0,
    "num_cpus_for_main_process": 1,
    "custom_resources_for_main_process": {},
    "placement_strategy": "PACK",
    # evaluation
    "evaluation_interval": None,
    "evaluation_duration": 10,
    "evaluation_duration_unit": "episodes",
    "evaluation_parallel_to_training": False,
    "evaluation_num_env_runners": 0,
    "evaluation_config": None,
    "evaluation_sample_timeout_s": 120.0,
    "custom_evaluation_function": None,
    "always_attach_evaluation_results": True,
    "in_evaluation": False,
    # multi-agent
    "policies": {"default_policy": None},
    "policy_mapping_fn": None,
    "policies_to_train": None,
    "observation_fn": None,
    "count_steps_by": "env_steps",
    "algorithm_config_overrides_per_module": {},
    # RL modules
    "rl_module_spec": None,
    # offline data
    "input": "sampler",
    "input_config": {},
    "postprocess_inputs": False,
    "shuffle_buffer_size": 0,
    "actions_in_input_normalized": False,
    "output": None,
    "output_config": {},
    "output_compress_columns": ["obs", "new_obs"],
    "output_max_file_size": 64 * 1024 * 1024,
    "off_policy_estimation_methods": {},
    # faults
    "ignore_env_runner_failures": False,
    "restart_failed_env_runners": True,
    "restart_failed_sub_environments": False,
    "max_num_env_runner_restarts": 1000,
    "delay_between_env_runner_restarts_s": 0.0,
    "num_consecutive_env_runner_failures_tolerance": 100,
    # reporting and debugging
    "callbacks": None,
    "metrics_num_episodes_for_smoothing": 100,
    "keep_per_episode_custom_metrics": False,
    "min_time_s_per_iteration": None,
    "min_sample_timesteps_per_iteration": 0,
    "min_train_timesteps_per_iteration": 0,
    "log_level": "WARN",
    "log_sys_usage": True,
    "seed": None,
    "logger_config": None,
    "logger_creator": None,
    "monitor": None,
    "fake_sampler": False,
    "checkpoint_trainable_policies_only": False,
    "export_native_model_files": False,
}

# Keys without effect, and the values that wish for nothing: None and these. Any other is told in a warning; why they
# have no effect stands in docs/user/rllib.md.
IGNORED: dict[str, tuple[Any, ...]] = {
    # parts of Ray that do not exist here: TensorFlow's sessions, execution plans, connectors, two stacks
    **dict.fromkeys(("simple_optimizer", "_fake_gpus", "fake_sampler"), (False, "auto")),
    **dict.fromkeys(
        ("eager_tracing", "enable_connectors", "_use_trajectory_view_api"), (True, False)
    ),
    **dict.fromkeys(("tf_session_args", "local_tf_session_args", "learner_config_dict"), ({},)),
    "eager_max_retraces": (20,),
    **dict.fromkeys(
        (
            "enable_rl_module_and_learner",
            "enable_env_runner_and_connector_v2",
            "_enable_learner_api",
            "_enable_rl_module_api",
            "_disable_execution_plan_api",
            "auto_wrap_old_gym_envs",
        ),
        (True, False),
    ),
    **dict.fromkeys(("_disable_preprocessor_api", "_disable_action_flattening"), (False,)),
    "sample_collector": (),
    "action_mask_key": ("action_mask",),
    "broadcast_env_runner_states": (True,),
    "merge_env_runner_states": (True, "training_only"),
    "episodes_to_numpy": (True,),
    "episode_lookback_horizon": (1,),
    "policy_map_capacity": (100,),
    **dict.fromkeys(("policy_map_cache", "policy_states_are_swappable"), (False,)),
    "replay_mode": ("independent",),
    **dict.fromkeys(("replay_sequence_length", "torch_skip_nan_gradients"), (1, False)),
    **dict.fromkeys(("torch_compile_learner", "torch_compile_worker"), (False,)),
    **dict.fromkeys(
        ("extra_python_environs_for_driver", "extra_python_environs_for_worker"), ({},)
    ),
    "log_gradients": (False, True),
    **dict.fromkeys(("shuffle_sequences", "shuffle_batch_per_epoch"), (True,)),
    "microbatch_size": (),
    # a learner has what num_cpus_per_learner and num_gpus_per_learner say
    "custom_resources_per_learner": ({},),
    "local_gpu_idx": (0,),
    # batches travel in shared memory, and nobody waits by the clock
    "compress_observations": (False,),
    **dict.fromkeys(
        (
            "memory",
            "memory_per_worker",
            "object_store_memory",
            "object_store_memory_per_worker",
            "remote_env_batch_wait_ms",
        ),
        (0,),
    ),
    "synchronize_filters": (True,),
    "use_worker_filter_stats": (True,),
    "sampler_perf_stats_ema_coef": (),
    "create_local_env_runner": (True,),
    "validate_env_runners_after_construction": (True,),
    "max_requests_in_flight_per_env_runner": (1, 2),
    "collect_metrics_timeout": (180,),
    "metrics_episode_collection_timeout_s": (60.0,),
    **dict.fromkeys(
        ("worker_health_probe_timeout_s", "env_runner_health_probe_timeout_s"), (30.0, 60)
    ),
    **dict.fromkeys(("worker_restore_timeout_s", "env_runner_restore_timeout_s"), (1800.0,)),
    "evaluation_unhealthy_workers_timeout_s": (),
    # pictures and videos of environments, and what Ray writes beside its results
    **dict.fromkeys(("render_env", "monitor"), (False,)),
    "logger_config": ({},),
    "checkpoint_trainable_policies_only": (False,),
}

# The Ray 1.x spelling of what is above.
CLASSIC_NAMES = {
    "num_workers": "num_env_runners",
    "num_rollout_workers": "num_env_runners",
    "num_envs_per_worker": "num_envs_per_env_runner",
    "num_cpus_per_worker": "num_cpus_per_env_runner",
    "num_gpus_per_worker": "num_gpus_per_env_runner",
    "custom_resources_per_worker": "custom_resources_per_env_runner",
    "num_cpus_for_driver": "num_cpus_for_main_process",
    "num_cpus_for_local_worker": "num_cpus_for_main_process",
    "create_env_on_local_worker": "create_env_on_driver",
    "sample_batch_size": "rollout_fragment_length",
    "sgd_minibatch_size": "minibatch_size",
    "num_sgd_iter": "num_epochs",
    "lambda": "lambda_",
    "evaluation_num_workers": "evaluation_num_env_runners",
    "evaluation_num_episodes": "evaluation_duration",
    "custom_eval_function": "custom_evaluation_function",
    "metrics_smoothing_episodes": "metrics_num_episodes_for_smoothing",
    "min_iter_time_s": "min_time_s_per_iteration",
    "min_time_s_per_reporting": "min_time_s_per_iteration",
    "timesteps_per_iteration": "min_sample_timesteps_per_iteration",
    "min_sample_timesteps_per_reporting": "min_sample_timesteps_per_iteration",
    "min_train_timesteps_per_reporting": "min_train_timesteps_per_iteration",
    "ignore_worker_failures": "ignore_env_runner_failures",
    "recreate_failed_workers": "restart_failed_env_runners",
    "recreate_failed_env_runners": "restart_failed_env_runners",
    "max_num_worker_restarts": "max_num_env_runner_restarts",
    "delay_between_worker_restarts_s": "delay_between_env_runner_restarts_s",
    "num_consecutive_worker_failures_tolerance": "num_consecutive_env_runner_failures_tolerance",
    "input_": "input",
    "input_evaluation": "off_policy_estimation_methods",
    "callbacks_class": "callbacks",
    "model_config": "model",
}

# Where a configuration given as a dict differs from a builder's defaults: as Ray 1.x had them.
CLASSIC_DEFAULTS: dict[str, Any] = {"rollout_fragment_length": 200, "clip_actions": True}

# Dicts that take keys of the user's own.
OPEN_KEYS = {
    "env_config",
    "exploration_config",
    "optimizer",
    "policies",
    "evaluation_config",
    "input_config",
    "output_config",
    "custom_resources_per_env_runner",
    "custom_resources_for_main_process",
    "algorithm_config_overrides_per_module",
    "off_policy_estimation_methods",
}
