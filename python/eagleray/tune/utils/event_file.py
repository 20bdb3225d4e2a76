"""Writes TensorBoard's event files: records with check sums of messages of protocol buffers, as much of both as numbers
and settings need. tensorboardX and torch's writer do it, too; they bring a second of imports (of torch), a thread a trial and
twelve times what all else costs a trial."""

from __future__ import annotations

import functools
import os
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

_POLYNOMIAL = 0x82F63B78  # of CRC-32C, its bits in reverse
_AT_ONCE = 1024  # bytes of which a check sum is taken together
_FEW = 64  # bytes for which a loop is quicker

Setting = int | float | str | bool


class EventFile:
    """One of a directory; opened with the first record. OSError where the disk does not take it."""

    def __init__(self, directory: str) -> None:
        now = time.time()
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self._file = open(os.path.join(directory, name), "xb", buffering=0)
        self._write(_double(1, now) + _bytes(3, b"brain.Event:2"))

    def add(self, numbers: Mapping[str, float], step: int) -> None:
        """A point of each curve, at `step`."""
        values = b"".join(
            _bytes(1, _bytes(1, tag.encode()) + _float(2, number))
            for tag, number in numbers.items()
        )
        self._write(_double(1, time.time()) + _number(2, step) + _bytes(5, values))

    def add_settings(self, settings: Mapping[str, Setting], numbers: Mapping[str, float]) -> None:
        """A row of the table of hyperparameters: what a trial had, and the curves that it is measured by."""
        kinds = b"".join(
            _bytes(4, _bytes(1, name.encode()) + _number(4, _kind(value)))
            for name, value in settings.items()
        )
        curves = b"".join(_bytes(5, _bytes(1, _bytes(2, tag.encode()))) for tag in numbers)
        had = b"".join(
            _bytes(1, _bytes(1, name.encode()) + _bytes(2, _value(value)))
            for name, value in settings.items()
        )
        success = _number(1, 1)
        self._add_of_plugin("experiment", 2, kinds + curves)
        self._add_of_plugin("session_start_info", 3, had + _double(5, time.time()))
        self._add_of_plugin("session_end_info", 4, success + _double(2, time.time()))

    def close(self) -> None:
        self._file.close()

    def _add_of_plugin(self, tag: str, field: int, message: bytes) -> None:
        plugin = _bytes(1, b"hparams") + _bytes(2, _bytes(field, message))
        value = _bytes(1, f"_hparams_/{tag}".encode()) + _bytes(9, _bytes(1, plugin))
        self._write(_double(1, time.time()) + _bytes(5, _bytes(1, value)))

    def _write(self, event: bytes) -> None:
        size = struct.pack("<Q", len(event))
        record = memoryview(b"".join((size, _masked(size), event, _masked(event))))
        while record:
            record = record[self._file.write(record) :]


# ---- messages: a field's number and form, then its value ----


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # of negative ones all 64 bits
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return struct.pack("<Bd", field << 3 | 1, value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _float(field: int, value: float) -> bytes:
    try:
        return struct.pack("<Bf", field << 3 | 5, value)
    except OverflowError:  # a double that no float is
        return struct.pack("<Bf", field << 3 | 5, float("inf") if value > 0 else float("-inf"))


def _kind(value: Setting) -> int:
    return 1 if isinstance(value, str) else 2 if isinstance(value, bool) else 3


def _value(value: Setting) -> bytes:
    if isinstance(value, str):
        return _bytes(3, value.encode())
    return _number(4, value) if isinstance(value, bool) else _double(2, value)


# ---- check sums ----


@functools.cache
def _tables() -> tuple[list[int], Any, Any]:
    """What a byte adds to the sum; the same with how many bytes are behind it; where these stand."""
    import numpy as np

    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    last = np.array(table, dtype=np.uint32)
    behind = [last]
    for _ in range(1, _AT_ONCE):
        behind.append(last[behind[-1] & 255] ^ behind[-1] >> 8)
    places = np.arange(_AT_ONCE - 1, -1, -1) * 256
    return table, np.concatenate(behind), places


def crc32c(data: bytes) -> int:
    """The check sum of Castagnoli's polynomial, as RFC 3720 has it."""
    import numpy as np

    table, behind, places = _tables()
    crc = 0xFFFFFFFF
    for start in range(0, len(data), _AT_ONCE):
        part = data[start : start + _AT_ONCE]
        if len(part) < _FEW:
            for byte in part:
                crc = table[(crc ^ byte) & 255] ^ crc >> 8
            continue
        # The sum is linear: that of the parts before is that of other first bytes.
        first = int.from_bytes(part[:4], "little") ^ crc
        content = np.frombuffer(first.to_bytes(4, "little") + part[4:], dtype=np.uint8)
        crc = int(np.bitwise_xor.reduce(behind[places[-len(part) :] + content]))
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF)
