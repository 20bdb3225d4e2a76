"""Names of fields in results, as Ray 2.x has them, and MetricsLogger."""

from __future__ import annotations

ENV_RUNNER_RESULTS = "env_runners"
EVALUATION_RESULTS = "evaluation"
FAULT_TOLERANCE_STATS = "fault_tolerance"
LEARNER_RESULTS = "learners"
LEARNER_STATS_KEY = "learner_stats"
TIMERS = "timers"
EPISODE_LEN_MEAN = "episode_len_mean"
EPISODE_LEN_MAX = "episode_len_max"
EPISODE_LEN_MIN = "episode_len_min"
EPISODE_RETURN_MEAN = "episode_return_mean"
EPISODE_RETURN_MAX = "episode_return_max"
EPISODE_RETURN_MIN = "episode_return_min"
NUM_EPISODES = "num_episodes"
NUM_EPISODES_LIFETIME = "num_episodes_lifetime"
NUM_AGENT_STEPS_SAMPLED = "num_agent_steps_sampled"
NUM_AGENT_STEPS_SAMPLED_LIFETIME = "num_agent_steps_sampled_lifetime"
NUM_AGENT_STEPS_TRAINED = "num_agent_steps_trained"
NUM_ENV_STEPS_SAMPLED = "num_env_steps_sampled"
NUM_ENV_STEPS_SAMPLED_LIFETIME = "num_env_steps_sampled_lifetime"
NUM_ENV_STEPS_SAMPLED_THIS_ITER = "num_env_steps_sampled_this_iter"
NUM_ENV_STEPS_TRAINED = "num_env_steps_trained"
NUM_ENV_STEPS_TRAINED_THIS_ITER = "num_env_steps_trained_this_iter"
STEPS_TRAINED_THIS_ITER_COUNTER = "num_steps_trained_this_iter"

__all__ = [name for name in dir() if name.isupper()]
