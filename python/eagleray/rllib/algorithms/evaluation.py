"""Evaluation: workers of their own, every so many iterations, before or beside training."""

from __future__ import annotations

from typing import Any

from ..evaluation.collected import Request
from ..evaluation.worker_set import WorkerSet
from .results import episode_metrics, merge_answers, new_names

__all__ = ["Evaluation"]


class Evaluation:
    """Owned by an Algorithm. The workers are made for the first evaluation, not before."""

    def __init__(self, algorithm: Any) -> None:
        self._algorithm = algorithm
        self._config = algorithm._algorithm_config
        self.workers: WorkerSet | None = None
        self._latest: dict[str, Any] = {}

    def due(self, iteration: int) -> bool:
        interval = self._config["evaluation_interval"]
        return bool(interval) and iteration % int(interval) == 0

    def begin_if_parallel(self, iteration: int) -> Any:
        """Starts the evaluation that runs while this iteration trains; None if there is none."""
        if not (self.due(iteration) and self._config["evaluation_parallel_to_training"]):
            return None
        if self._config["custom_evaluation_function"] is not None:
            return None
        if not self._config["evaluation_num_env_runners"]:
            raise ValueError(
                "evaluation_parallel_to_training needs evaluation_num_env_runners >= 1"
            )
        return self._begin()

    def finish_or_run(self, iteration: int, running: Any) -> dict[str, Any]:
        """The metrics of this iteration's evaluation; {} when none is due."""
        if running is not None:
            return self._finish(running)
        if self.due(iteration):
            return self.run()
        return self._latest if self._config["always_attach_evaluation_results"] else {}

    def run(self) -> dict[str, Any]:
        """One evaluation, from start to end."""
        custom = self._config["custom_evaluation_function"]
        if custom is None:
            return self._finish(self._begin())
        algorithm = self._algorithm
        workers = self._made()
        algorithm.callbacks(
            "on_evaluate_start", algorithm=algorithm, metrics_logger=algorithm.metrics
        )
        workers.local_worker().set_weights(algorithm.get_weights())
        workers.sync_weights()
        answer = custom(algorithm, workers)
        metrics = dict(answer[0] if isinstance(answer, tuple) else answer)
        return self._ended(metrics)

    def _begin(self) -> Any:
        algorithm = self._algorithm
        workers = self._made()
        algorithm.callbacks(
            "on_evaluate_start", algorithm=algorithm, metrics_logger=algorithm.metrics
        )
        config = self._evaluation_config
        kind = config["evaluation_duration_unit"]
        duration = config["evaluation_duration"]
        count = max(workers.num_remote_workers(), 1)
        duration = count if duration == "auto" else int(duration)
        request = Request(
            "episodes" if kind == "episodes" else "steps",
            duration,
            algorithm._counters["num_env_steps_sampled"],
            None,
            algorithm._filter_states(),
            fresh=True,
            metrics_only=True,
        )
        # Those that were left out after a failure have no share.
        shares = {
            index: duration // count + (at < duration % count)
            for at, index in enumerate(workers.healthy_worker_ids())
        }
        return workers.begin(
            algorithm.get_weights(), request, shares if workers.num_remote_workers() else None
        )

    def _finish(self, running: Any) -> dict[str, Any]:
        workers = self._made()
        answers = workers.finish(running)
        episodes, perf, env_steps, agent_steps = merge_answers(answers)
        if (
            self._config["evaluation_duration_unit"] == "episodes"
            and self._config["evaluation_duration"] != "auto"
        ):
            episodes = episodes[: max(int(self._config["evaluation_duration"]), 1)]
        metrics = episode_metrics(
            episodes, episodes, perf, self._config["keep_per_episode_custom_metrics"]
        )
        metrics["timesteps_this_iter"] = metrics["num_env_steps_sampled_this_iter"] = env_steps
        metrics["num_agent_steps_sampled_this_iter"] = agent_steps
        metrics["num_remote_worker_restarts"] = workers.restarts
        metrics["num_healthy_workers"] = workers.num_remote_workers()
        counters = {"num_env_steps_sampled": env_steps, "num_agent_steps_sampled": agent_steps}
        metrics["env_runners"] = new_names(
            metrics, counters, {"env": env_steps, "agent": agent_steps}
        )
        for answer in answers:
            self._algorithm.metrics.merge(answer.metrics)
        return self._ended(metrics)

    def _ended(self, metrics: dict[str, Any]) -> dict[str, Any]:
        algorithm = self._algorithm
        algorithm.callbacks(
            "on_evaluate_end",
            algorithm=algorithm,
            metrics_logger=algorithm.metrics,
            evaluation_metrics={"evaluation": metrics, **metrics},
        )
        self._latest = metrics
        return metrics

    @property
    def _evaluation_config(self) -> Any:
        config: Any = self._config.get_evaluation_config_object()
        config["num_env_runners"] = self._config["evaluation_num_env_runners"]
        config["sample_timeout_s"] = config["evaluation_sample_timeout_s"]
        config["batch_mode"] = "complete_episodes"
        if config["evaluation_duration_unit"] == "timesteps":
            config["batch_mode"] = "truncate_episodes"
        return config

    def _made(self) -> WorkerSet:
        if self.workers is None:
            config = self._evaluation_config
            count = config["num_env_runners"]
            if config["env"] is None:
                raise ValueError("evaluation needs an environment: evaluation_config={'env': ...}")
            self.workers = WorkerSet(config, count, local_env=count == 0, evaluation=True)
        return self.workers

    def stop(self) -> None:
        if self.workers is not None:
            self.workers.stop()
