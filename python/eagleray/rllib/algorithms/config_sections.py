"""Which keys each method of AlgorithmConfig takes. A key in the wrong method is an error that names the right one."""

from __future__ import annotations

__all__ = ["SECTIONS"]

SECTIONS: dict[str, frozenset[str]] = {
    name: frozenset(keys.split())
    for name, keys in {
        "environment": "env env_config observation_space action_space clip_rewards normalize_actions "
        "clip_actions is_atari render_env disable_env_checking action_mask_key env_task_fn horizon "
        "soft_horizon no_done_at_end auto_wrap_old_gym_envs",
        "env_runners": "num_env_runners num_envs_per_env_runner num_cpus_per_env_runner "
        "num_gpus_per_env_runner custom_resources_per_env_runner create_env_on_driver "
        "rollout_fragment_length batch_mode sample_timeout_s observation_filter "
        "update_worker_filter_stats compress_observations preprocessor_pref explore exploration_config "
        "remote_worker_envs sample_async gym_env_vectorize_mode enable_connectors sample_collector "
        "create_local_env_runner validate_env_runners_after_construction remote_env_batch_wait_ms "
        "synchronize_filters use_worker_filter_stats max_requests_in_flight_per_env_runner "
        "broadcast_env_runner_states merge_env_runner_states episodes_to_numpy "
        "episode_lookback_horizon sampler_perf_stats_ema_coef ignore_env_runner_failures "
        "restart_failed_env_runners restart_failed_sub_environments",
        "resources": "num_gpus num_cpus_for_main_process custom_resources_for_main_process "
        "placement_strategy num_cpus_per_env_runner num_gpus_per_env_runner "
        "custom_resources_per_env_runner num_learners num_gpus_per_learner num_cpus_per_learner "
        "local_gpu_idx _fake_gpus",
        "learners": "num_learners num_cpus_per_learner num_gpus_per_learner local_gpu_idx learner_backend cuda_graph "
        "custom_resources_per_learner learner_config_dict",
        "training": "",  # these and the algorithm's own keys
        "framework": "framework eager_tracing eager_max_retraces tf_session_args local_tf_session_args "
        "torch_compile_learner torch_compile_worker torch_skip_nan_gradients",
        "rl_module": "rl_module_spec algorithm_config_overrides_per_module",
        "evaluation": "evaluation_interval evaluation_duration evaluation_duration_unit "
        "evaluation_parallel_to_training evaluation_num_env_runners evaluation_config "
        "evaluation_sample_timeout_s custom_evaluation_function always_attach_evaluation_results "
        "evaluation_unhealthy_workers_timeout_s off_policy_estimation_methods",
        "callbacks": "callbacks",
        "multi_agent": "policies policy_mapping_fn policies_to_train observation_fn count_steps_by "
        "algorithm_config_overrides_per_module policy_map_capacity policy_map_cache "
        "policy_states_are_swappable replay_mode",
        "offline_data": "input input_config postprocess_inputs shuffle_buffer_size "
        "actions_in_input_normalized output output_config output_compress_columns output_max_file_size",
        "fault_tolerance": "ignore_env_runner_failures restart_failed_env_runners "
        "restart_failed_sub_environments max_num_env_runner_restarts "
        "delay_between_env_runner_restarts_s num_consecutive_env_runner_failures_tolerance "
        "worker_health_probe_timeout_s worker_restore_timeout_s env_runner_health_probe_timeout_s "
        "env_runner_restore_timeout_s",
        "reporting": "metrics_num_episodes_for_smoothing keep_per_episode_custom_metrics "
        "min_time_s_per_iteration min_sample_timesteps_per_iteration "
        "min_train_timesteps_per_iteration metrics_episode_collection_timeout_s log_gradients",
        "debugging": "log_level log_sys_usage seed logger_config logger_creator fake_sampler monitor",
        "checkpointing": "checkpoint_trainable_policies_only export_native_model_files",
        "experimental": "_disable_preprocessor_api _disable_action_flattening "
        "_disable_execution_plan_api",
        "python_environment": "extra_python_environs_for_driver extra_python_environs_for_worker",
        "api_stack": "enable_rl_module_and_learner enable_env_runner_and_connector_v2",
    }.items()
}
TRAINING = frozenset(
    "gamma lr lr_schedule grad_clip grad_clip_by train_batch_size train_batch_size_per_learner model "
    "optimizer learner_backend cuda_graph _enable_learner_api learner_config_dict".split()
)
