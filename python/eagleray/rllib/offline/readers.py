"""Reading experience: files of JSON lines or Parquet, again and again, in shuffled order."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..policy.sample_batch import SampleBatch
from .json_format import from_line

__all__ = [
    "FileReader",
    "IOContext",
    "InputReader",
    "JsonReader",
    "MixedInput",
    "MixedReader",
    "ShuffledInput",
    "make_reader",
]


def make_reader(config: Any, worker: Any = None) -> Any:
    """By config["input"]: a path (directory, file or pattern), a list of them, a dict of inputs with their shares,
    a registered name, or a function of the configuration. What it gives has next() -> batch. worker: the rollout worker
    that is "sampler" in such a dict."""
    source = config["input"]
    if source == "dataset":
        source = config["input_config"].get("paths") or config["input_config"].get("path")
    made = _reader(source, config, worker)
    buffered = int(config["shuffle_buffer_size"] or 0)
    return ShuffledInput(made, buffered, config["seed"]) if buffered else made


def _reader(source: Any, config: Any, worker: Any) -> Any:
    if callable(source):
        return source(config)
    if isinstance(source, Mapping):
        return MixedReader(
            {_reader(part, config, worker): share for part, share in source.items()}, config["seed"]
        )
    if source == "sampler":
        if worker is None or config["env"] is None:
            raise ValueError("'sampler' in config['input'] needs an environment: set config['env']")
        return SamplerInput(worker)
    if isinstance(source, str):
        from eagleray.tune import registry

        found = registry._global_registry
        if found.contains(registry.RLLIB_INPUT, source):
            return found.get(registry.RLLIB_INPUT, source)(config)
    return FileReader(source, config["seed"])


class InputReader:
    """What gives batches. A subclass defines next()."""

    def next(self) -> Any:
        """The next batch; without end."""
        raise NotImplementedError(f"{type(self).__name__} has no next()")


class IOContext:
    """What readers and writers of one's own may be given."""

    def __init__(
        self, log_dir: Any = None, config: Any = None, worker_index: int = 0, worker: Any = None
    ) -> None:
        self.log_dir, self.config = log_dir or ".", config or {}
        self.worker_index, self.worker = worker_index, worker

    @property
    def input_config(self) -> Any:
        return self.config.get("input_config", {})

    @property
    def output_config(self) -> Any:
        return self.config.get("output_config", {})


class SamplerInput(InputReader):
    """What a rollout worker samples. Batches of it have `sampled`: their actions are as the policy has them, not as the
    environment takes them."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def next(self) -> Any:
        batch = self._worker.sample()
        batch.sampled = True
        return batch


class ShuffledInput(InputReader):
    """Keeps n batches of another reader and gives one of them at random, whose place a new one takes. n 0: as they
    come."""

    def __init__(self, child: Any, n: int = 0, seed: int | None = None) -> None:
        self.child, self.n = child, n
        self._random = np.random.default_rng(seed)
        self._buffer: list[Any] = []

    def next(self) -> Any:
        if self.n <= 1:
            return self.child.next()
        while len(self._buffer) < self.n:
            self._buffer.append(self.child.next())
        at = int(self._random.integers(self.n))
        taken, self._buffer[at] = self._buffer[at], self.child.next()
        return taken


class FileReader(InputReader):
    """next() gives a line's batch, or some rows of Parquet. ValueError: there are no files."""

    ROWS = 512  # of Parquet at a time; whole episodes stay together when they have an eps_id

    def __init__(self, inputs: Any, seed: Any = None) -> None:
        if isinstance(seed, IOContext):  # what Ray's readers take here
            seed = seed.config.get("seed")
        paths = [inputs] if isinstance(inputs, str | Path) else list(inputs)
        self._files = sorted({file for path in paths for file in _expand(str(path))})
        if not self._files:
            raise ValueError(f"no files of experience at {', '.join(map(str, paths))}")
        self._random = np.random.default_rng(seed)
        self._batches = self._endless()

    def next(self) -> Any:
        """The next batch; after the last file it begins anew."""
        return next(self._batches)

    def _endless(self) -> Iterator[Any]:
        while True:
            found = False
            for at in self._random.permutation(len(self._files)):
                for batch in read_file(self._files[at]):
                    found = True
                    yield batch
            if not found:
                raise ValueError(f"the files of experience are empty: {', '.join(self._files)}")

    def __iter__(self) -> Iterator[Any]:
        """All batches once, file by file."""
        for file in self._files:
            yield from read_file(file)


JsonReader = FileReader


class MixedReader(InputReader):
    """Takes from several readers, at random by their shares."""

    def __init__(self, shares: Mapping[Any, float], seed: int | None = None) -> None:
        self._readers = list(shares)
        total = sum(shares.values())
        self._shares = [share / total for share in shares.values()]
        self._random = np.random.default_rng(seed)

    def next(self) -> Any:
        return self._readers[int(self._random.choice(len(self._readers), p=self._shares))].next()


MixedInput = MixedReader


def _expand(path: str) -> list[str]:
    place = Path(path).expanduser()
    if place.is_dir():
        return [
            str(file) for kind in ("json", "jsonl", "parquet") for file in place.glob(f"*.{kind}")
        ]
    return [str(place)] if place.is_file() else glob.glob(str(place))


def read_file(path: str) -> Iterator[Any]:
    """The batches of one file."""
    if path.endswith(".parquet"):
        yield from _parquet(path)
        return
    with open(path) as file:
        for line in file:
            if line.strip():
                yield from_line(line)


def _parquet(path: str) -> Iterator[SampleBatch]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    columns = {name: _array(table.column(name)) for name in table.column_names}
    batch = SampleBatch(columns)
    if SampleBatch.EPS_ID not in batch and SampleBatch.TERMINATEDS not in batch:
        yield from batch.timeslices(FileReader.ROWS)
        return
    yield from batch.split_by_episode()


def _array(column: Any) -> Any:
    values = column.to_pylist()
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype == np.float64 else array
