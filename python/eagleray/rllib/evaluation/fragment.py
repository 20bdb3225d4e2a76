"""Storage of one fragment: columns [steps, envs, ...], filled step by step, and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..policy.sample_batch import SampleBatch, concat_samples
from .postprocessing import gae

__all__ = ["Fragment", "add_advantages", "env_major"]


class Fragment:
    """Columns that are allocated when the first row is seen; `used` is true where an environment stepped."""

    def __init__(self, steps: int, envs: int) -> None:
        self.steps, self.envs = steps, envs
        self.columns: dict[str, Any] = {}
        self.used = np.zeros((steps, envs), bool)
        self.length = 0

    def put(self, t: int, name: str, rows: Any) -> None:
        """Writes rows [envs, ...] of step t."""
        column = self.columns.get(name)
        if column is None:
            rows = np.asarray(rows)
            column = np.zeros((self.steps, *rows.shape), rows.dtype)
            self.columns[name] = column
        column[t] = rows

    def fill(self, name: str, row: Any) -> None:
        """Writes the same row [envs, ...] to all steps."""
        row = np.asarray(row)
        self.columns[name] = np.broadcast_to(row, (self.steps, *row.shape))

    def ensure(self, t: int) -> None:
        """Makes room for step t in a fragment of unknown length."""
        if t >= self.steps:
            more = max(self.steps, 64)
            for name, column in self.columns.items():
                self.columns[name] = np.concatenate(
                    [column, np.zeros((more, *column.shape[1:]), column.dtype)]
                )
            self.used = np.concatenate([self.used, np.zeros((more, self.envs), bool)])
            self.steps += more

    def trim(self) -> None:
        """Forgets the steps that were not made."""
        self.columns = {name: column[: self.length] for name, column in self.columns.items()}
        self.used = self.used[: self.length]
        self.steps = self.length


def add_advantages(fragment: Fragment, policy: Any, config: Any) -> None:
    """Adds "advantages" and "value_targets" by GAE, or the discounted return where there is no GAE or critic.

    A trajectory ends with its episode, and at the end of the fragment; V of what follows is added unless the
    state is terminal.
    """
    columns = fragment.columns
    terminateds, truncateds = columns[SampleBatch.TERMINATEDS], columns[SampleBatch.TRUNCATEDS]
    ends = terminateds | truncateds
    ends = ends.copy()
    ends[:-1] |= fragment.used[:-1] & ~fragment.used[1:]
    ends[-1] = True
    critic = config.get("use_critic", True)
    values = columns.get(SampleBatch.VF_PREDS)
    if values is None or not critic:
        values = np.zeros(ends.shape, np.float32)
    next_values = np.zeros(ends.shape, np.float32)
    next_values[:-1] = values[1:]
    cut = ends & ~terminateds & fragment.used
    next_values[ends] = 0.0
    if critic and cut.any():
        states = [columns[f"state_out_{i}"][cut] for i in range(_states(columns))]
        next_values[cut] = policy.value_function(columns[SampleBatch.NEXT_OBS][cut], states)
    lambda_ = config["lambda_"] if config.get("use_gae", True) else 1.0
    advantages, targets = gae(
        columns[SampleBatch.REWARDS], values, next_values, ends, config["gamma"], lambda_
    )
    columns[SampleBatch.ADVANTAGES], columns[SampleBatch.VALUE_TARGETS] = advantages, targets


def _states(columns: dict[str, Any]) -> int:
    count = 0
    while f"state_out_{count}" in columns:
        count += 1
    return count


def env_major(fragments: list[Fragment], drop: set[str]) -> SampleBatch:
    """All rows of environment 0 in time order, then those of environment 1, and so on."""
    used = np.concatenate([fragment.used for fragment in fragments]).T
    everything = bool(used.all())
    batch = SampleBatch()
    for name in fragments[0].columns:
        if name in drop or name.startswith("state_out_"):
            continue
        parts = [fragment.columns[name] for fragment in fragments]
        column = parts[0] if len(parts) == 1 else np.concatenate(parts)
        column = column.swapaxes(0, 1)
        batch[name] = column.reshape(-1, *column.shape[2:]) if everything else column[used]
    return batch


def trajectories(fragments: list[Fragment]) -> list[SampleBatch]:
    """The same rows as one batch a trajectory, views where possible."""
    batch = env_major(fragments, set())
    out: list[SampleBatch] = []
    keys = (SampleBatch.EPS_ID, SampleBatch.UNROLL_ID, SampleBatch.AGENT_INDEX)
    new = np.zeros(batch.count, bool)
    for key in keys:
        new[1:] |= batch[key][1:] != batch[key][:-1]
    edges = [0, *np.flatnonzero(new).tolist(), batch.count]
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        out.append(SampleBatch({key: value[start:end] for key, value in batch.items()}))
    return out


def joined(parts: list[SampleBatch], drop: set[str]) -> SampleBatch:
    batch: SampleBatch = concat_samples(parts)
    return SampleBatch({key: value for key, value in batch.items() if key not in drop})
