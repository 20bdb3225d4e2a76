"""Results of an iteration, with the names of Ray 1.x and 2.x side by side. docs/user/rllib.md has their meaning."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..evaluation.collected import Collected, Perf
from ..evaluation.episode import EpisodeRecord

__all__ = ["EpisodeHistory", "Timers", "episode_metrics", "new_names", "system_perf"]

_METRICS_NEW = ("episode_len_mean", "episode_len_min", "episode_len_max")


class EpisodeHistory:
    """The episodes that means are taken over: all of an iteration, filled up with the latest before it to
    `smoothing` of them."""

    def __init__(self, smoothing: int) -> None:
        self._smoothing = smoothing
        self._past: list[EpisodeRecord] = []
        self.total = 0

    def add(self, episodes: list[EpisodeRecord]) -> list[EpisodeRecord]:
        """Takes an iteration's episodes and gives those to summarise, oldest first."""
        missing = self._smoothing - len(episodes)
        window = (self._past[-missing:] if missing > 0 else []) + episodes
        self._past = (self._past + episodes)[-self._smoothing :] if self._smoothing else []
        self.total += sum(not episode.faulty for episode in episodes)
        return window

    def get_state(self) -> dict[str, Any]:
        return {"past": self._past, "total": self.total}

    def set_state(self, state: dict[str, Any]) -> None:
        self._past, self.total = list(state["past"]), state["total"]


def episode_metrics(
    window: list[EpisodeRecord], this_iter: list[EpisodeRecord], perf: Perf, keep_custom: bool
) -> dict[str, Any]:
    """The statistics of episodes. Without any: nan, as in Ray."""
    sound = [episode for episode in window if not episode.faulty]
    rewards = [episode.reward for episode in sound]
    lengths = [episode.length for episode in sound]
    by_policy: dict[str, list[float]] = {}
    for episode in sound:
        for (_, policy), reward in episode.agent_rewards.items():
            by_policy.setdefault(policy, []).append(reward)
    hist: dict[str, Any] = {"episode_reward": rewards, "episode_lengths": lengths}
    for policy, values in by_policy.items():
        hist[f"policy_{policy}_reward"] = values
    for name in sorted({name for episode in sound for name in episode.hist_data}):
        hist[name] = [value for e in sound for value in e.hist_data.get(name, [])]
    media: dict[str, list[Any]] = {}
    for episode in sound:
        for name, value in episode.media.items():
            media.setdefault(name, []).append(value)
    fresh = [episode for episode in this_iter if not episode.faulty]
    return {
        "episode_reward_max": _of(max, rewards),
        "episode_reward_min": _of(min, rewards),
        "episode_reward_mean": _of(np.mean, rewards),
        "episode_len_mean": _of(np.mean, lengths),
        "episode_len_max": _of(max, lengths),
        "episode_len_min": _of(min, lengths),
        "episode_media": media,
        "episodes_timesteps_total": sum(lengths),
        "policy_reward_min": {name: _of(min, values) for name, values in by_policy.items()},
        "policy_reward_max": {name: _of(max, values) for name, values in by_policy.items()},
        "policy_reward_mean": {name: _of(np.mean, values) for name, values in by_policy.items()},
        "custom_metrics": custom_metrics(sound, keep_custom),
        "hist_stats": hist,
        "sampler_perf": perf.milliseconds(),
        "num_faulty_episodes": len(this_iter) - len(fresh),
        "num_episodes": len(fresh),
        "episodes_this_iter": len(fresh),
        "off_policy_estimator": {},
    }


def custom_metrics(episodes: Iterable[EpisodeRecord], keep: bool) -> dict[str, Any]:
    """NAME_mean, NAME_min and NAME_max of each custom metric; keep: the values themselves."""
    values: dict[str, list[float]] = {}
    for episode in episodes:
        for name, value in episode.custom_metrics.items():
            values.setdefault(name, []).append(value)
    if keep:
        return dict(values)
    return {
        f"{name}_{kind}": float(reduce(numbers))
        for name, numbers in values.items()
        for kind, reduce in (("mean", np.mean), ("min", np.min), ("max", np.max))
    }


def new_names(
    metrics: dict[str, Any],
    counters: dict[str, int],
    sampled: dict[str, int],
    by_module: dict[str, tuple[int, int]] | None = None,
) -> dict[str, Any]:
    """The block `env_runners` of Ray 2.x. sampled: steps of this iteration. by_module: steps of each policy, in this
    iteration and in all."""
    out = dict(metrics)
    for kind in ("mean", "min", "max"):
        out[f"episode_return_{kind}"] = metrics[f"episode_reward_{kind}"]
    out["module_episode_return_mean"] = out["agent_episode_return_mean"] = dict(
        metrics["policy_reward_mean"]
    )
    if set(metrics["policy_reward_mean"]) == {"default_policy"}:
        out["agent_episode_return_mean"] = {
            "default_agent": metrics["policy_reward_mean"]["default_policy"]
        }
    out["num_env_steps_sampled"] = sampled["env"]
    out["num_agent_steps_sampled"] = {"default_agent": sampled["agent"]}
    out["num_env_steps_sampled_lifetime"] = counters["num_env_steps_sampled"]
    out["num_agent_steps_sampled_lifetime"] = {"default_agent": counters["num_agent_steps_sampled"]}
    agent = (sampled["agent"], counters["num_agent_steps_sampled"])
    modules = by_module or {"default_policy": agent}
    out["num_module_steps_sampled"] = {name: steps for name, (steps, _) in modules.items()}
    out["num_module_steps_sampled_lifetime"] = {name: steps for name, (_, steps) in modules.items()}
    return out


def learner_names(learner: dict[str, Any], trained: tuple[int, int]) -> dict[str, Any]:
    """The block `learners` of Ray 2.x from `info/learner`. trained: environment steps, in this iteration and in all."""
    renamed = {
        "kl": "mean_kl_loss",
        "cur_kl_coeff": "curr_kl_coeff",
        "entropy_coeff": "curr_entropy_coeff",
        "cur_lr": "default_optimizer_learning_rate",
        "grad_gnorm": "gradients_default_optimizer_global_norm",
    }
    out: dict[str, Any] = {}
    for policy, info in learner.items():
        stats = info.get("learner_stats", {})
        out[policy] = {renamed.get(name, name): value for name, value in stats.items()}
        out[policy]["num_module_steps_trained"] = info.get("num_agent_steps_trained", 0)
    out["__all_modules__"] = {
        "num_env_steps_trained": trained[0],
        "num_env_steps_trained_lifetime": trained[1],
        "num_module_steps_trained": sum(part["num_module_steps_trained"] for part in out.values()),
    }
    return out


def merge_answers(answers: list[Collected]) -> tuple[list[EpisodeRecord], Perf, int, int]:
    """Episodes, perf, environment and agent steps of all workers together."""
    perf = Perf()
    for answer in answers:
        perf.add(answer.perf)
    episodes = [episode for answer in answers for episode in answer.episodes]
    return episodes, perf, sum(a.env_steps for a in answers), sum(a.agent_steps for a in answers)


class Timers:
    """Means over the last ten calls of each part of an iteration, in milliseconds, and steps a second; some also in
    seconds, by the names of Ray 2.x."""

    _CURRENT = {
        "training_iteration": "training_iteration",
        "training_step": "training_step",
        "sample": "env_runner_sampling_timer",
        "learn": "learner_update_timer",
        "evaluation_iteration": "evaluation_iteration",
        "update": "synch_weights",
    }

    def __init__(self) -> None:
        self._seconds: dict[str, deque[tuple[float, int]]] = {}

    def add(self, name: str, seconds: float, steps: int = 0) -> None:
        self._seconds.setdefault(name, deque(maxlen=10)).append((seconds, steps))

    def milliseconds(self) -> dict[str, float]:
        out: dict[str, float] = {}
        for name, samples in self._seconds.items():
            seconds, steps = sum(s for s, _ in samples), sum(n for _, n in samples)
            out[f"{name}_time_ms"] = round(1000.0 * seconds / len(samples), 3)
            if name in self._CURRENT:
                out[self._CURRENT[name]] = seconds / len(samples)
            if steps:
                out[f"{name}_throughput"] = round(steps / max(seconds, 1e-9), 3)
        return out


def system_perf() -> dict[str, float]:
    """How busy this machine is, since the last call, and how much of its memory is used, in percent."""
    try:
        with open("/proc/stat") as file:
            numbers = [int(part) for part in file.readline().split()[1:9]]
        with open("/proc/meminfo") as file:
            memory = {line.split(":")[0]: int(line.split()[1]) for line in file}
    except OSError:
        return {}
    idle, total = numbers[3] + numbers[4], sum(numbers)
    before_idle, before_total = _last_cpu or (0, 0)
    _last_cpu[:] = [idle, total]
    busy = 1.0 - (idle - before_idle) / max(total - before_total, 1)
    used = 1.0 - memory["MemAvailable"] / memory["MemTotal"]
    return {"cpu_util_percent": round(100 * busy, 1), "ram_util_percent": round(100 * used, 1)}


_last_cpu: list[int] = []


def _of(reduce: Callable[[Any], Any], values: list[Any]) -> float:
    return float(reduce(values)) if values else math.nan
