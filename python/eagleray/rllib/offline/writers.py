"""Writing experience: lines of JSON, or Parquet with one row a time step."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from ..policy.sample_batch import MultiAgentBatch, SampleBatch
from .json_format import to_line

__all__ = ["JsonWriter", "NoopOutput", "OutputWriter", "ParquetWriter", "make_writer"]


def make_writer(config: Any, worker_index: int) -> Any:
    """By config["output"]: a directory, "json" or "parquet" with output_config["path"], or a function of config."""
    output = config["output"]
    if callable(output):
        return output(config)
    settings = config["output_config"]
    kind = settings.get("format", output if output in ("json", "parquet") else "json")
    path = settings.get("path", output)
    if path in ("json", "parquet"):
        raise ValueError(f"output={output!r} needs output_config={{'path': DIRECTORY}}")
    made = ParquetWriter if kind == "parquet" else JsonWriter
    return made(
        path, worker_index, int(config["output_max_file_size"]), config["output_compress_columns"]
    )


class OutputWriter:
    """What takes batches. A subclass defines write()."""

    def write(self, sample_batch: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no write()")

    def close(self) -> None:
        """Called at the end."""


class NoopOutput(OutputWriter):
    """Takes them and does nothing."""

    def write(self, sample_batch: Any) -> None:
        pass


class JsonWriter(OutputWriter):
    """Appends batches to `output-TIME_worker-N_K.json`; a file that is larger than max_file_size bytes is followed
    by the next. Ray's JsonReader reads columns that are not compressed."""

    suffix = "json"

    def __init__(
        self,
        path: str,
        worker_index: int = 0,
        max_file_size: int = 64 * 1024 * 1024,
        compress_columns: Any = ("obs", "new_obs"),
    ) -> None:
        self._directory = Path(path)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._worker = worker_index
        self._limit = max_file_size
        self._packed = tuple(compress_columns)
        self._files = 0
        self._file: Any = None

    def _next_path(self) -> Path:
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        self._files += 1
        return (
            self._directory
            / f"output-{stamp}_worker-{self._worker}_{self._files - 1}.{self.suffix}"
        )

    def write(self, batch: Any) -> None:
        """Appends one batch."""
        if self._file is None:
            self._file = self._next_path().open("w")
        self._file.write(to_line(batch, self._packed) + "\n")
        self._file.flush()
        if self._file.tell() > self._limit:
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class ParquetWriter(JsonWriter):
    """One file a batch: a column each, of lists where a step has several numbers. ImportError without pyarrow."""

    suffix = "parquet"

    def write(self, batch: Any) -> None:
        import pyarrow
        import pyarrow.parquet

        if isinstance(batch, MultiAgentBatch):
            if set(batch.policy_batches) != {"default_policy"}:
                raise ValueError("Parquet holds the experience of one policy; use JSON for several")
            batch = batch.policy_batches["default_policy"]
        columns = {
            key: _column(pyarrow, np.asarray(value))
            for key, value in batch.items()
            if key != SampleBatch.INFOS
        }
        pyarrow.parquet.write_table(pyarrow.table(columns), str(self._next_path()))


def _column(pyarrow: Any, array: Any) -> Any:
    if array.ndim == 1:
        return pyarrow.array(array)
    flat = pyarrow.array(np.ascontiguousarray(array).reshape(-1))
    return pyarrow.FixedSizeListArray.from_arrays(flat, int(np.prod(array.shape[1:])))
