"""Experiment: a name and a dict that describe one, for run_experiments(). Follows `ray.tune.Experiment`."""

from __future__ import annotations

from typing import Any


class Experiment:
    """What to run, as tune.run() takes it: `Experiment("name", "PPO", stop={...}, config={...})`."""

    def __init__(self, name: str, run: Any, **spec: Any) -> None:
        self.name = name
        self.spec: dict[str, Any] = {"run": run, **spec}

    @classmethod
    def from_json(cls, name: str, spec: dict[str, Any]) -> Experiment:
        """From a dict with `run` in it."""
        spec = dict(spec)
        return cls(name, spec.pop("run"), **spec)
