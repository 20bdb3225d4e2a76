"""What an algorithm asks of a rollout worker, and what comes back: plain values, for a call between processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .episode import EpisodeRecord

__all__ = ["Collected", "Perf", "Request"]


@dataclass
class Request:
    """kind "fragments": `amount` fragments of rollout_fragment_length steps from each environment;
    "episodes": at least `amount` whole episodes; "steps": whole fragments of at least `amount` steps.

    timestep: of the whole algorithm, for schedules. explore None: as the configuration says. fresh: begin
    with new episodes. metrics_only: no batch is wanted. gradients: those of the policies' losses instead of the batch.
    """

    kind: str = "fragments"
    amount: int = 1
    timestep: int = 0
    explore: bool | None = None
    filters: dict[str, Any] = field(default_factory=dict)
    fresh: bool = False
    metrics_only: bool = False
    gradients: bool = False


@dataclass
class Perf:
    """Seconds that the parts of sampling took, over `steps` vector steps."""

    steps: int = 0
    env: float = 0.0
    inference: float = 0.0
    observations: float = 0.0
    actions: float = 0.0

    def add(self, other: Perf) -> None:
        self.steps += other.steps
        self.env += other.env
        self.inference += other.inference
        self.observations += other.observations
        self.actions += other.actions

    def milliseconds(self) -> dict[str, float]:
        """Means a vector step, with Ray's names."""
        scale = 1000.0 / max(self.steps, 1)
        return {
            "mean_raw_obs_processing_ms": self.observations * scale,
            "mean_inference_ms": self.inference * scale,
            "mean_action_processing_ms": self.actions * scale,
            "mean_env_wait_ms": self.env * scale,
            "mean_env_render_ms": 0.0,
        }


@dataclass
class Collected:
    """One worker's answer. batch: a SampleBatch (one policy), a MultiAgentBatch, or None; rows of environment 0
    first, each in time order, so that workers' batches in order are the same whatever the number of workers."""

    batch: Any
    env_steps: int
    agent_steps: int
    episodes: list[EpisodeRecord]
    perf: Perf
    filter_deltas: dict[str, Any] = field(default_factory=dict)
    metrics: Any = None  # what call-backs logged
    gradients: dict[str, Any] = field(
        default_factory=dict
    )  # by policy: (gradients, as learn() gives)
