"""Columns of experience: what rollouts give, what learners take, what offline files hold.

A SampleBatch is a dict of arrays whose first dimension is the time step (or, for the columns in
`states`, the sequence); a MultiAgentBatch is one SampleBatch a policy. Both are values: the
methods return new batches and share memory where numpy can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..utils.by_name import by_name

__all__ = [
    "DEFAULT_POLICY_ID",
    "MultiAgentBatch",
    "SampleBatch",
    "attempt_count_timesteps",
    "concat_samples",
    "concat_samples_into_ma_batch",
    "convert_ma_batch_to_sample_batch",
]

DEFAULT_POLICY_ID = "default_policy"


@by_name(
    view_requirements="set_get_interceptor get_single_step_input_dict",
    slices_of_sequences="enable_slicing_by_batch_id disable_slicing_by_batch_id",
)
class SampleBatch(dict[str, Any]):
    """A dict of columns with equal first dimensions, with Ray's names for them."""

    OBS = "obs"
    NEXT_OBS = "new_obs"
    ACTIONS = "actions"
    REWARDS = "rewards"
    PREV_ACTIONS = "prev_actions"
    PREV_REWARDS = "prev_rewards"
    TERMINATEDS = "terminateds"
    TRUNCATEDS = "truncateds"
    DONES = "dones"
    INFOS = "infos"
    EPS_ID = "eps_id"
    ENV_ID = "env_id"
    AGENT_INDEX = "agent_index"
    UNROLL_ID = "unroll_id"
    T = "t"
    SEQ_LENS = "seq_lens"
    ACTION_DIST_INPUTS = "action_dist_inputs"
    ACTION_LOGP = "action_logp"
    ACTION_PROB = "action_prob"
    VF_PREDS = "vf_preds"
    VALUES_BOOTSTRAPPED = "values_bootstrapped"
    ADVANTAGES = "advantages"
    VALUE_TARGETS = "value_targets"
    CUR_OBS = "obs"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for key, value in self.items():
            if isinstance(value, list) and key != self.INFOS:
                self[key] = np.asarray(value)

    @property
    def count(self) -> int:
        """Number of time steps."""
        for key, value in self.items():
            if key != self.SEQ_LENS and not key.startswith("state_in_"):
                return _rows(value)
        return 0

    def __len__(self) -> int:
        return self.count

    def __bool__(self) -> bool:
        return bool(self.keys())

    def env_steps(self) -> int:
        """Steps of environments; the same as `count` for one agent."""
        return self.count

    agent_steps = env_steps

    def copy(self, shallow: bool = False) -> SampleBatch:
        """A copy; with shallow=False the arrays are copied, too."""
        if shallow:
            return SampleBatch(self)
        return SampleBatch({key: _map(value, np.copy) for key, value in self.items()})

    def rows(self) -> Iterator[dict[str, Any]]:
        """One dict a time step."""
        for index in range(self.count):
            yield {
                key: _map(value, lambda array, at=index: array[at])
                for key, value in self.items()
                if key != self.SEQ_LENS
            }

    def columns(self, keys: Sequence[str]) -> list[Any]:
        """The named columns in that order."""
        return [self[key] for key in keys]

    def slice(self, start: int, end: int) -> SampleBatch:
        """Time steps start <= t < end, without copies. Of a batch padded to sequences, states are left out."""
        by_sequence = self.SEQ_LENS in self
        return SampleBatch(
            {
                key: _map(value, lambda array: array[start:end])
                for key, value in self.items()
                if not (by_sequence and (key == self.SEQ_LENS or key.startswith("state_in_")))
            }
        )

    def select(self, indices: Any) -> SampleBatch:
        """The time steps `indices` (an integer array), copied."""
        return SampleBatch(
            {key: _map(value, lambda array: _take(array, indices)) for key, value in self.items()}
        )

    def shuffle(self, generator: np.random.Generator | None = None) -> SampleBatch:
        """The same steps in random order. `generator` defaults to one without a seed."""
        return self.select((generator or np.random.default_rng()).permutation(self.count))

    def timeslices(self, size: int) -> list[SampleBatch]:
        """Cut into pieces of `size` steps; the last one may be shorter."""
        return [
            self.slice(at, min(at + size, self.count)) for at in range(0, self.count, max(size, 1))
        ]

    def split_by_episode(self) -> list[SampleBatch]:
        """Cut where `eps_id` changes, or, without that column, after each end of an episode."""
        if self.EPS_ID in self:
            ids = self[self.EPS_ID]
            cuts = np.flatnonzero(ids[1:] != ids[:-1]) + 1
        else:
            cuts = np.flatnonzero(self.dones()[:-1]) + 1
        edges = [0, *cuts.tolist(), self.count]
        return [self.slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a]

    def dones(self) -> Any:
        """Whether each step ended its episode, terminated or truncated: bool[count]."""
        if self.TERMINATEDS not in self:
            return np.asarray(self.get(self.DONES, np.zeros(self.count, bool)), bool)
        ends = np.asarray(self[self.TERMINATEDS], bool)
        return ends | self[self.TRUNCATEDS] if self.TRUNCATEDS in self else ends

    def size_bytes(self) -> int:
        """Bytes of the arrays."""
        return sum(int(getattr(value, "nbytes", 0)) for value in self.values())

    def is_terminated_or_truncated(self) -> bool:
        """Whether the last step is the end of its episode."""
        return bool(self.dones()[-1])

    def is_single_trajectory(self) -> bool:
        """Whether no step but the last is the end of an episode."""
        return not bool(np.any(self.dones()[:-1]))

    @property
    def is_training(self) -> bool:
        """What set_training() said; models look at it."""
        return bool(vars(self).get("_training", False))

    def set_training(self, training: bool = True) -> None:
        vars(self)["_training"] = bool(training)

    def to_device(self, device: Any, framework: str = "torch", **_: Any) -> SampleBatch:
        """The columns as tensors of PyTorch's on a device."""
        from ..utils.torch_utils import convert_to_torch_tensor

        converted = {
            key: value if key == self.INFOS else convert_to_torch_tensor(value, device)
            for key, value in self.items()
        }
        return SampleBatch(converted)

    def compress(self, bulk: bool = False, columns: Any = ("obs", "new_obs")) -> SampleBatch:
        """Packs columns (utils.compression), each whole (bulk) or row by row, in place."""
        from ..utils.compression import pack

        for key in set(columns) & set(self):
            self[key] = pack(self[key]) if bulk else np.array([pack(row) for row in self[key]])
        return self

    def decompress_if_needed(self, columns: Any = ("obs", "new_obs")) -> SampleBatch:
        """The inverse of compress(), in place."""
        from ..utils.compression import is_compressed, unpack

        for key in set(columns) & set(self):
            value = self[key]
            if is_compressed(value):
                self[key] = unpack(value)
            elif len(value) and is_compressed(value[0]):
                self[key] = np.stack([unpack(row) for row in value])
        return self

    def right_zero_pad(self, max_seq_len: int, exclude_states: bool = True) -> SampleBatch:
        """Sequences (by "seq_lens") of max_seq_len rows each, zeros behind their ends, in place. ValueError: there is
        no "seq_lens"."""
        if self.SEQ_LENS not in self:
            raise ValueError("padding needs the lengths of sequences: the column 'seq_lens'")
        lens = np.asarray(self[self.SEQ_LENS])
        starts = np.cumsum(lens) - lens
        for key, value in self.items():
            if key == self.SEQ_LENS or (exclude_states and key.startswith("state_in_")):
                continue
            padded = np.zeros((len(lens) * max_seq_len, *np.shape(value)[1:]), value.dtype)
            for i, (start, length) in enumerate(zip(starts, lens, strict=True)):
                padded[i * max_seq_len : i * max_seq_len + length] = value[start : start + length]
            self[key] = padded
        return self

    zero_pad = right_zero_pad

    def as_multi_agent(self) -> MultiAgentBatch:
        """The same batch as that of the only policy."""
        return MultiAgentBatch({DEFAULT_POLICY_ID: self}, self.count)

    @staticmethod
    def concat_samples(samples: Iterable[Any]) -> Any:
        return concat_samples(samples)

    def concat(self, other: SampleBatch) -> SampleBatch:
        batch: SampleBatch = concat_samples([self, other])
        return batch


class MultiAgentBatch:
    """One SampleBatch a policy, and how many steps the environments made meanwhile."""

    def __init__(self, policy_batches: Mapping[str, SampleBatch], env_steps: int) -> None:
        self.policy_batches = dict(policy_batches)
        self.count = env_steps

    def env_steps(self) -> int:
        return self.count

    def agent_steps(self) -> int:
        """Steps of all agents together."""
        return sum(batch.count for batch in self.policy_batches.values())

    def copy(self) -> MultiAgentBatch:
        """Independent copies of all policies' batches."""
        parts = {name: part.copy() for name, part in self.policy_batches.items()}
        return MultiAgentBatch(parts, self.count)

    def size_bytes(self) -> int:
        """Bytes of all columns."""
        return sum(part.size_bytes() for part in self.policy_batches.values())

    def to_device(self, device: Any, framework: str = "torch", **_: Any) -> MultiAgentBatch:
        """The columns as tensors of PyTorch's on a device."""
        parts = {name: part.to_device(device) for name, part in self.policy_batches.items()}
        return MultiAgentBatch(parts, self.count)

    def compress(self, bulk: bool = False, columns: Any = ("obs", "new_obs")) -> MultiAgentBatch:
        """SampleBatch.compress() of each."""
        for part in self.policy_batches.values():
            part.compress(bulk, columns)
        return self

    def decompress_if_needed(self, columns: Any = ("obs", "new_obs")) -> MultiAgentBatch:
        """SampleBatch.decompress_if_needed() of each."""
        for part in self.policy_batches.values():
            part.decompress_if_needed(columns)
        return self

    def timeslices(self, k: int) -> list[MultiAgentBatch]:
        """Batches of at most k environment steps each, by the column "t" where agents act at different steps."""
        places: dict[tuple[int, int], dict[str, list[int]]] = {}
        for name, part in self.policy_batches.items():
            episodes = part.get(SampleBatch.EPS_ID, np.zeros(part.count, np.int64))
            steps = part.get(SampleBatch.T, np.arange(part.count))
            for row, key in enumerate(zip(episodes.tolist(), steps.tolist(), strict=True)):
                places.setdefault(key, {}).setdefault(name, []).append(row)
        ordered = [places[key] for key in sorted(places)]
        out = []
        for start in range(0, len(ordered), k):
            chosen: dict[str, list[int]] = {}
            for step in ordered[start : start + k]:
                for name, rows in step.items():
                    chosen.setdefault(name, []).extend(rows)
            parts = {
                name: self.policy_batches[name].select(np.asarray(rows))
                for name, rows in chosen.items()
            }
            out.append(MultiAgentBatch(parts, len(ordered[start : start + k])))
        return out

    def __getitem__(self, policy_id: str) -> SampleBatch:
        return self.policy_batches[policy_id]

    def __len__(self) -> int:
        return self.count

    def as_multi_agent(self) -> MultiAgentBatch:
        return self

    @staticmethod
    def wrap_as_needed(batches: Mapping[str, SampleBatch], env_steps: int) -> Any:
        """The plain batch when only the default policy has one."""
        if set(batches) == {DEFAULT_POLICY_ID}:
            return batches[DEFAULT_POLICY_ID]
        return MultiAgentBatch(batches, env_steps)

    @staticmethod
    def concat_samples(samples: Iterable[Any]) -> MultiAgentBatch:
        joined: MultiAgentBatch = concat_samples([sample.as_multi_agent() for sample in samples])
        return joined


def concat_samples(samples: Iterable[Any]) -> Any:
    """Joins batches in time. All must have the same columns; ValueError names one that is not in all."""
    batches = [batch for batch in samples if len(batch)]
    if not batches:
        return SampleBatch()
    if len(batches) == 1:
        return batches[0]
    if isinstance(batches[0], MultiAgentBatch):
        policies: dict[str, list[SampleBatch]] = {}
        for multi in batches:
            for policy_id, batch in multi.policy_batches.items():
                policies.setdefault(policy_id, []).append(batch)
        return MultiAgentBatch(
            {name: concat_samples(parts) for name, parts in policies.items()},
            sum(multi.count for multi in batches),
        )
    for batch in batches[1:]:
        if batch.keys() != batches[0].keys():
            odd = sorted(set(batch) ^ set(batches[0]))
            raise ValueError(f"batches with different columns cannot be joined: {odd}")
    return SampleBatch({key: _join([batch[key] for batch in batches]) for key in batches[0]})


def _rows(value: Any) -> int:
    if isinstance(value, dict):
        return _rows(next(iter(value.values())))
    if isinstance(value, tuple):
        return _rows(value[0])
    return len(value)


def _take(array: Any, indices: Any) -> Any:
    return [array[at] for at in indices] if isinstance(array, list) else array[indices]


def _map(value: Any, function: Any) -> Any:
    """Applies `function` to each array of a column, which may be a dict or tuple of arrays."""
    if isinstance(value, dict):
        return {key: _map(part, function) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_map(part, function) for part in value)
    return function(value)


def _join(parts: list[Any]) -> Any:
    if isinstance(parts[0], dict):
        return {key: _join([part[key] for part in parts]) for key in parts[0]}
    if isinstance(parts[0], tuple):
        return tuple(_join(list(column)) for column in zip(*parts, strict=True))
    if isinstance(parts[0], list):
        return [item for part in parts for item in part]
    return np.concatenate(parts)


def concat_samples_into_ma_batch(samples: Iterable[Any]) -> MultiAgentBatch:
    """All of them as one MultiAgentBatch."""
    return MultiAgentBatch.concat_samples([sample.as_multi_agent() for sample in samples])


def convert_ma_batch_to_sample_batch(batch: Any) -> SampleBatch:
    """The batch of the only policy. ValueError: there are several."""
    if not isinstance(batch, MultiAgentBatch):
        return batch
    if len(batch.policy_batches) != 1:
        raise ValueError(f"a batch of {len(batch.policy_batches)} policies, not of one")
    return next(iter(batch.policy_batches.values()))


def attempt_count_timesteps(tensor_dict: Mapping[str, Any]) -> int:
    """Time steps of a dict of columns: the sum of its "seq_lens", or the rows of its first column; 0 of none."""
    lens = tensor_dict.get(SampleBatch.SEQ_LENS)
    if lens is not None and len(lens):
        return int(np.sum(lens.cpu().numpy() if hasattr(lens, "cpu") else lens))
    for key, value in tensor_dict.items():
        if key != SampleBatch.INFOS and not key.startswith("state_in_"):
            return _rows(value)
    return 0
