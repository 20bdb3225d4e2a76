"""A batch of calls as bytes in which large arrays are references: each array is put into the store once a
Parallel() call, however many tasks take it and however deep it lies in their arguments."""

from __future__ import annotations

import io
import pickle
from typing import Any

import eagleray as ray

from ..._serialization import _Pickler

SHARED_BYTES_MIN = 128 << 10  # smaller arrays are copied into each batch


class Sharing:
    """What one Parallel() call has put. An array that is changed meanwhile is sent as it was."""

    def __init__(self) -> None:
        self._put: dict[
            Any, tuple[Any, Any]
        ] = {}  # the array is kept, so that its place is not used anew

    def reference(self, array: Any) -> Any:
        facts = array.__array_interface__
        key = (facts["data"], facts["shape"], facts["strides"], array.dtype.str)
        known = self._put.get(key)
        if known is None:
            known = self._put[key] = (array, ray.put(array))
        return known[1]

    def pack(self, batch: Any) -> tuple[bytes, list[Any]]:
        """The bytes, and the references that stand in them by their index."""
        out = io.BytesIO()
        pickler = _SharingPickler(out, self)
        pickler.dump(batch)
        return out.getvalue(), pickler.references


class _SharingPickler(_Pickler):
    def __init__(self, out: io.BytesIO, sharing: Sharing) -> None:
        super().__init__(out, protocol=5)
        import numpy as np

        self._array_types = (np.ndarray, np.memmap)
        self._sharing = sharing
        self.references: list[Any] = []
        self._indexes: dict[Any, int] = {}

    def persistent_id(self, value: Any) -> Any:
        if type(value) not in self._array_types or value.nbytes < SHARED_BYTES_MIN:
            return None
        if value.dtype.hasobject:
            return None
        reference = self._sharing.reference(value)
        index = self._indexes.setdefault(reference, len(self.references))
        if index == len(self.references):
            self.references.append(reference)
        return index


class _SharingUnpickler(pickle.Unpickler):
    def __init__(self, blob: bytes, arrays: list[Any]) -> None:
        super().__init__(io.BytesIO(blob))
        self._arrays = arrays

    def persistent_load(self, index: Any) -> Any:
        return self._arrays[index]


def run(blob: bytes, references: list[Any]) -> Any:
    """In a worker: the batch's results. Its shared arrays are read-only, as joblib's memory maps are."""
    return _SharingUnpickler(blob, ray.get(references)).load()()
