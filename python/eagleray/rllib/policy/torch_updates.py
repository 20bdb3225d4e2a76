"""The minibatch steps of a TorchPolicy: each made in Python, or one recorded as a CUDA graph and replayed for all.

A step is policy.step(columns): loss, gradients, clipping, optimiser. What it notes (policy.notes) comes back as means over the
steps. Nothing here knows a loss; needs torch and numpy only.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from .placed_columns import PlacedColumns

__all__ = ["Columns", "CudaRecorder", "EagerUpdates", "RecordedUpdates", "make_updates"]

logger = logging.getLogger("eagleray.rllib")

# Columns up to this size are shuffled once an epoch, so that a minibatch is a slice; larger ones are gathered by minibatch.
SHUFFLED_BYTES_MAX = 64 << 20
# Steps before one is recorded: the optimiser's state and the libraries' workspaces are made in them.
WARM_STEPS = 3
# Different numbers that a recorded step may note.
NOTES_MAX = 64
# A recording for one batch only (it costs as much as a step or two) is made for at least so many steps.
REPLAYS_MIN = 4
# Minibatches of sequences are filled up to an earlier recording's shape if that makes them at most so much larger.
FILLED_MAX = 1.5


class Columns(NamedTuple):
    """Tensors by name. What is shuffled are `units`: rows, or sequences of `per_unit` rows each."""

    tensors: dict[str, Any]
    units: int
    per_unit: int = 1

    def by_unit(self, name: str) -> bool:
        """Whether a column has one row a unit even where units are sequences."""
        return self.per_unit == 1 or name == "seq_lens" or name.startswith("state_in_")

    @property
    def sequences(self) -> bool:
        """Whether units are sequences; `mask` then says which rows are real."""
        return "seq_lens" in self.tensors

    def take(self, chosen: Any) -> Columns:
        """The units with these indices."""
        picked = {}
        for name, tensor in self.tensors.items():
            if self.by_unit(name):
                picked[name] = tensor.index_select(0, chosen)
            else:
                grouped = tensor.reshape(-1, self.per_unit, *tensor.shape[1:])
                picked[name] = grouped.index_select(0, chosen).reshape(-1, *tensor.shape[1:])
        return Columns(picked, len(chosen), self.per_unit)

    def slice(self, begin: int, end: int) -> dict[str, Any]:
        """The units from `begin` to before `end`, as views."""
        rows = slice(begin * self.per_unit, end * self.per_unit)
        units = slice(begin, end)
        return {
            name: tensor[units if self.by_unit(name) else rows]
            for name, tensor in self.tensors.items()
        }

    def to(self, device: Any) -> Columns:
        if device.type == "cpu":
            return self
        return self._replace(tensors={n: t.to(device) for n, t in self.tensors.items()})

    @property
    def nbytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


def make_updates(policy: Any) -> Any:
    """What makes the steps of a policy: recorded ones on CUDA, unless config["cuda_graph"] is false."""
    if policy.device.type != "cuda":
        return EagerUpdates(policy)
    if not policy.config.get("cuda_graph", True):
        return EagerUpdates(policy)
    if policy.config.get("num_learners", 0) > 1:
        _say("several learners average their gradients in each step")
        return EagerUpdates(policy)
    if not counts_on_device(policy.optimizer):
        _say(f"{type(policy.optimizer).__name__} may count its steps in Python")
        return EagerUpdates(policy)
    return RecordedUpdates(policy, CudaRecorder())


def counts_on_device(optimizer: Any) -> bool:
    """Whether all that the optimiser's steps change is on the device; those of PyTorch's that can be told to, are told."""
    if type(optimizer) is torch.optim.SGD:
        return True
    groups = optimizer.param_groups
    if not all("capturable" in group for group in groups):
        return False
    for group in groups:
        group["capturable"] = True
    return True


def _say(reason: str) -> None:
    logger.warning("the CUDA learner goes on without a captured graph: %s", reason)


class EagerUpdates:
    """Every step in Python. make: makes a step; a recorder's, where it has been tried, on the stream of its attempts."""

    kind = "eager"

    def __init__(
        self, policy: Any, make: Callable[[Callable[[], None]], None] | None = None
    ) -> None:
        self._policy = policy
        self._make = make or (lambda step: step())

    def forget(self) -> None:
        """The optimiser's state has been replaced."""

    def run(self, columns: Columns, orders: list[Any], size: int) -> dict[str, float]:
        """A step for each `size` units of each order (indices of units; None: all of them as they are, in one step); the
        means of what was noted. A rest of less than `size` units is left out."""
        policy = self._policy
        policy.notes = {}
        columns = columns.to(policy.device)
        for order in orders:
            for minibatch in _minibatches(columns, order, size):
                self._make(functools.partial(policy.step, minibatch))
        totals = _Totals()
        totals.add_notes(policy.notes)
        return totals.means()


def _minibatches(columns: Columns, order: Any, size: int) -> Iterator[dict[str, Any]]:
    if order is None:
        yield columns.tensors
        return
    device = next(iter(columns.tensors.values())).device
    indices = torch.from_numpy(order[: len(order) // size * size]).to(device)
    whole = columns.nbytes <= SHUFFLED_BYTES_MAX
    shuffled = columns.take(indices) if whole else None
    for begin in range(0, len(indices), size):
        if shuffled is not None:
            yield shuffled.slice(begin, begin + size)
        else:
            yield columns.take(indices[begin : begin + size]).tensors


class _Totals:
    """Sums of numbers by name, in the order in which they were noted first."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, total: float, count: int) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + total
        self._counts[name] = self._counts.get(name, 0) + count

    def add_notes(self, notes: dict[str, list[Any]]) -> None:
        for name, values in notes.items():
            if torch.is_tensor(values[0]):
                stacked = torch.stack([torch.as_tensor(value).float() for value in values])
                self.add(name, float(stacked.double().sum()), len(values))
            else:
                self.add(name, float(sum(float(value) for value in values)), len(values))

    def means(self) -> dict[str, float]:
        return {name: total / self._counts[name] for name, total in self._sums.items()}


class RecordedUpdates:
    """One step is recorded once and replayed for every minibatch: the processor then only starts graphs.

    What the recorded step reads lies in tensors that stay where they are: the columns, the indices of all minibatches
    (`_picks`) and which of them is next (`_at`, counted by the step itself). A recording is made again when shapes change, when
    the optimiser's state is replaced, and, where loss or net are the user's own (numbers of Python in them may have
    changed), for each batch of at least REPLAYS_MIN steps. Sequences of our own nets, which a mask hides, are filled with zeros
    up to the shape that is recorded: neither longer ones nor more of them in a later batch need another recording. Where
    recording is impossible the reason is logged and steps are made one by one.
    """

    kind = "recorded"

    def __init__(self, policy: Any, recorder: Any) -> None:
        self._policy = policy
        self._recorder = recorder
        self.recorded = 0  # how often
        self._warm = 0
        self._key: Any = None
        self._replay: Callable[[], Any] | None = None
        self._instead: EagerUpdates | None = None
        self._columns = PlacedColumns(policy.device)
        self._shape = (0, 0)  # of a minibatch of sequences: how many, and their length
        self._picks: Any = None
        self._at = torch.zeros(1, dtype=torch.int64, device=policy.device)
        self._sums = torch.zeros(NOTES_MAX, device=policy.device)
        self._names: list[str] = []  # of what lies in _sums
        self._constants: list[tuple[str, float]] = []

    def forget(self) -> None:
        """The optimiser's state has been replaced: what was recorded would write into the old one."""
        self._warm, self._replay = 0, None

    def run(self, columns: Columns, orders: list[Any], size: int) -> dict[str, float]:
        """As EagerUpdates.run()."""
        if self._instead is not None:
            return self._instead.run(columns, orders, size)
        policy = self._policy
        rows = _picks(columns.units, orders, size)
        size, length = self._recorded_shape(columns, size)
        moved = [self._columns.put(columns, length), self._place_picks(rows, size)]
        key = (size, self._columns.names, *policy.recording_key())
        if any(moved) or key != self._key:
            self._key, self._replay = key, None
        policy.notes = {}
        self._at.zero_()
        done = 0
        while self._replay is None and done < len(rows):
            left = len(rows) - done
            if self._warm >= WARM_STEPS and (policy.keeps_recording or left >= REPLAYS_MIN):
                if not self._record():
                    break
                continue
            self._recorder.warm(self._step)
            self._warm += 1
            done += 1
        totals = _Totals()
        if self._instead is not None:
            totals.add_notes(policy.notes)
            return self._rest(columns, rows[done:], totals)
        if self._replay is not None:
            self._sums.zero_()
            for _ in range(done, len(rows)):
                self._replay()
        self._count(totals, len(rows) - done)
        if not policy.keeps_recording:
            self._replay = None
        return totals.means()

    def _recorded_shape(self, columns: Columns, size: int) -> tuple[int, int]:
        """(units of a minibatch, rows of a unit): sequences of our own nets as they are recorded already where that is not
        much more than these are, else such that both fit."""
        shape = (size, columns.per_unit)
        if not (columns.sequences and self._policy.keeps_recording):
            return shape
        joined = (max(size, self._shape[0]), max(columns.per_unit, self._shape[1]))
        fill = joined[0] * joined[1] / (shape[0] * shape[1])
        self._shape = joined if fill <= FILLED_MAX else shape
        return self._shape

    def _count(self, totals: _Totals, replays: int) -> None:
        totals.add_notes(self._policy.notes)
        if replays == 0:
            return
        for name, value in zip(self._names, self._sums.tolist(), strict=False):
            totals.add(name, value, replays)
        for name, value in self._constants:
            totals.add(name, value * replays, replays)

    def _rest(self, columns: Columns, rows: Any, totals: _Totals) -> dict[str, float]:
        """What is left of this call, step by step; `totals` has the steps before."""
        policy = self._policy
        policy.notes = {}
        here = columns.to(policy.device)
        for row in rows:
            minibatch = here.take(torch.from_numpy(row).to(policy.device)).tensors
            self._recorder.warm(functools.partial(policy.step, minibatch))
        totals.add_notes(policy.notes)
        return totals.means()

    def _step(self) -> None:
        chosen = self._picks.index_select(0, self._at).squeeze(0)
        self._at.add_(1)
        self._policy.step(self._columns.take(chosen))

    def _recorded_step(self) -> None:
        """A step that adds what it notes to _sums."""
        kept, self._policy.notes = self._policy.notes, {}
        try:
            self._step()
            noted = self._policy.notes
        finally:
            self._policy.notes = kept
        tensors, self._names, self._constants = [], [], []
        for name, values in noted.items():
            for value in values:
                if torch.is_tensor(value):
                    self._names.append(name)
                    tensors.append(value.float().reshape(()))
                else:
                    self._constants.append((name, float(value)))
        if len(tensors) > NOTES_MAX:
            raise RuntimeError(f"a step notes {len(tensors)} numbers; at most {NOTES_MAX} are kept")
        if tensors:
            self._sums[: len(tensors)].add_(torch.stack(tensors))

    def _record(self) -> bool:
        policy = self._policy
        policy.optimizer.zero_grad(set_to_none=True)
        try:
            with _distributions_unchecked():
                self._replay = self._recorder.record(self._recorded_step)
            self.recorded += 1
        except RuntimeError as error:
            _say(str(_first(error)).split("\n")[0])
            self._instead = EagerUpdates(policy, self._recorder.warm)
            self._columns.drop()
            self._picks = None
            policy.optimizer.zero_grad(set_to_none=True)
        return self._replay is not None

    def _place_picks(self, rows: Any, size: int) -> bool:
        """Copies the indices of all minibatches, each filled up to `size`, to where steps read them; whether that is new."""
        given = torch.full((len(rows), size), self._columns.filler)
        given[:, : rows.shape[1]] = torch.from_numpy(rows)
        known = self._picks
        if known is not None and known.shape[1] == size and len(known) >= len(given):
            known[: len(given)].copy_(given)
            return False
        room = max(0 if known is None else len(known), len(given) + len(given) // 3)
        self._picks = torch.zeros((room, size), dtype=torch.int64, device=self._policy.device)
        self._picks[: len(given)].copy_(given)
        return True


@contextlib.contextmanager
def _distributions_unchecked() -> Iterator[None]:
    """Without PyTorch's looks at what its distributions are given, which wait for the device. The steps before had them."""
    distribution = torch.distributions.Distribution
    checked = distribution._validate_args
    distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        distribution.set_default_validate_args(checked)


def _first(error: BaseException) -> BaseException:
    """The error that made others follow."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _picks(units: int, orders: list[Any], size: int) -> Any:
    """The units of each minibatch, one after the other: int64 [steps, size]."""
    parts = []
    for order in orders:
        order = np.arange(units) if order is None else order[: len(order) // size * size]
        parts.append(np.asarray(order, np.int64).reshape(-1, size))
    return np.ascontiguousarray(np.concatenate(parts))


class CudaRecorder:
    """CUDA graphs. record() runs nothing: the kernels that the step would start are kept and started by what it gives."""

    def __init__(self) -> None:
        self._stream: Any = None

    def warm(self, step: Callable[[], None]) -> None:
        """A step that counts, on the stream that will record."""
        if self._stream is None:
            self._stream = torch.cuda.Stream()
        now = torch.cuda.current_stream()
        self._stream.wait_stream(now)
        with torch.cuda.stream(self._stream):
            step()
        now.wait_stream(self._stream)

    def record(self, step: Callable[[], None]) -> Callable[[], Any]:
        """RuntimeError: the step waits for the device, or does something else that a graph cannot hold."""
        now = torch.cuda.current_stream()
        graph = torch.cuda.CUDAGraph()
        random = torch.cuda.default_generators[torch.cuda.current_device()]
        before = random.clone_state() if hasattr(random, "clone_state") else None
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                step()
        except RuntimeError:
            if before is not None:
                random.graphsafe_set_state(before)  # the one that was being recorded is of no use
            raise
        finally:
            torch.cuda.set_stream(now)
        return graph.replay
