"""Checkpoints of algorithms and policies: what is in them, and how they are read again.

A directory with `rllib_checkpoint.json` (type, version, names) and `algorithm_state.pkl` (everything); the
policies' weights lie beside it as `policies/NAME/weights.npz`, for other programs. A later version of eagleray
reads what an earlier one wrote; a newer checkpoint than the program is a ValueError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eagleray import cloudpickle

from ..utils.lazy import lazily

__all__ = [
    "VERSION",
    "algorithm_state",
    "read_into",
    "read_policies",
    "rebuild",
    "set_algorithm_state",
    "write_algorithm",
    "write_policy",
]

VERSION = "1.0"
_DESCRIPTION, _STATE, _POLICY = "rllib_checkpoint.json", "algorithm_state.pkl", "policy_state.pkl"


def algorithm_state(algorithm: Any) -> dict[str, Any]:
    """Everything an algorithm needs to go on: all values, no processes."""
    workers = algorithm.workers
    local = workers.local_worker()
    return {
        "version": VERSION,
        "algorithm": type(algorithm),
        "config": algorithm._algorithm_config.to_dict(),
        "policies": {name: policy.get_state() for name, policy in local.policy_map.items()},
        "filters": {name: part.get_state() for name, part in local.filters.items()},
        "counters": dict(algorithm._counters),
        "module_steps": dict(algorithm._module_steps),
        "history": algorithm._history.get_state(),
        "generator": algorithm._generator.bit_generator.state,
        "workers": workers.foreach_worker(
            lambda worker: worker.get_state(), workers.num_remote_workers() == 0
        ),
        "experiment_id": algorithm._experiment_id,
    }


def set_algorithm_state(algorithm: Any, state: Mapping[str, Any]) -> None:
    """Takes the state over. Environments go on where they were: native ones, and those of Python that could be kept
    (evaluation/running.py); the others, and those of several agents, begin new episodes."""
    workers = algorithm.workers
    local = workers.local_worker()
    for name, value in state["policies"].items():
        if name in local.policy_map:
            local.policy_map[name].set_state(value)
    for name, value in state["filters"].items():
        if name in local.filters:
            local.filters[name].set_state(value)
    algorithm._counters.update(state["counters"])
    algorithm._module_steps.update(state.get("module_steps", {}))
    algorithm._history.set_state(state["history"])
    algorithm._generator.bit_generator.state = state["generator"]
    vars(algorithm)["_made_experiment_id"] = state["experiment_id"]
    saved = state["workers"]
    remote = workers.num_remote_workers()
    if len(saved) == max(remote, 1):
        places = {index: saved[at] for at, index in enumerate(workers.healthy_worker_ids() or [0])}
        workers.foreach_worker_with_id(
            lambda index, worker: worker.set_state(places[index]), local_worker=remote == 0
        )


def write_algorithm(directory: str, algorithm: Any) -> None:
    """Writes a checkpoint into a directory that exists."""
    place = Path(directory)
    state = algorithm.get_state()
    (place / _STATE).write_bytes(cloudpickle.dumps(state))
    for name, policy in state["policies"].items():
        _write_weights(place / "policies" / name, policy)
    _describe(
        place,
        {
            "type": "Algorithm",
            "algorithm": type(algorithm).__name__,
            "policy_ids": sorted(state["policies"]),
        },
    )


def write_policy(directory: str, policy: Any) -> None:
    """Writes one policy, with its class, spaces and settings."""
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    state = policy.get_state()
    spec = (type(policy), policy.observation_space, policy.action_space, policy.config)
    (place / _POLICY).write_bytes(
        cloudpickle.dumps({"version": VERSION, "spec": spec, "state": state})
    )
    _write_weights(place, state)
    _describe(place, {"type": "Policy", "policy": type(policy).__name__})


def _write_weights(place: Path, state: Mapping[str, Any]) -> None:
    weights = state.get("weights")
    if isinstance(weights, Mapping) and all(
        isinstance(value, np.ndarray) for value in weights.values()
    ):
        place.mkdir(parents=True, exist_ok=True)
        np.savez(place / "weights.npz", **weights)


def _describe(place: Path, facts: dict[str, Any]) -> None:
    facts = {"checkpoint_version": VERSION, "format": "cloudpickle", "state_file": _STATE, **facts}
    (place / _DESCRIPTION).write_text(json.dumps(facts, indent=2) + "\n")


def _path(checkpoint: Any) -> Path:
    place = Path(getattr(checkpoint, "path", checkpoint))
    if not place.is_dir():
        raise FileNotFoundError(f"no checkpoint at {place}")
    return place


def _check(place: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads((place / _DESCRIPTION).read_text())
    except FileNotFoundError:
        raise ValueError(
            f"{place} is no checkpoint of eagleray.rllib: it has no {_DESCRIPTION}"
        ) from None
    if int(facts["checkpoint_version"].split(".")[0]) > int(VERSION.split(".")[0]):
        raise ValueError(
            f"{place} was written by a newer eagleray (format {facts['checkpoint_version']})"
        )
    return facts


def read_state(checkpoint: Any) -> dict[str, Any]:
    """An algorithm's checkpoint as it was written."""
    place = _path(checkpoint)
    _check(place)
    state: dict[str, Any] = cloudpickle.loads((place / _STATE).read_bytes())
    return state


def read_into(algorithm: Any, checkpoint: Any) -> None:
    algorithm.set_state(read_state(checkpoint))


def rebuild(checkpoint: Any) -> Any:
    """The algorithm of a checkpoint, made anew and restored."""
    state = read_state(checkpoint)
    algorithm = state["algorithm"](config=state["config"])
    algorithm.restore(str(_path(checkpoint)))
    return algorithm


def read_policies(checkpoint: Any, policy_ids: Sequence[str] | None = None) -> Any:
    """The policy that export_checkpoint() wrote; or those of an algorithm, by id."""
    place = _path(checkpoint)
    if _check(place)["type"] == "Policy":
        saved = cloudpickle.loads((place / _POLICY).read_bytes())
        made, observation_space, action_space, config = saved["spec"]
        policy = made(observation_space, action_space, config)
        policy.set_state(saved["state"])
        return policy
    algorithm = rebuild(place)
    try:
        policies = dict(algorithm.workers.local_worker().policy_map)
    finally:
        algorithm.stop()
    return {
        name: policy
        for name, policy in policies.items()
        if policy_ids is None or name in policy_ids
    }


__getattr__ = lazily(__name__)  # names that are planned
