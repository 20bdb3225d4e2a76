"""Experience in files, and estimates from it."""

from __future__ import annotations

from ..utils.lazy import lazily
from .readers import (
    FileReader,
    InputReader,
    IOContext,
    JsonReader,
    MixedInput,
    MixedReader,
    ShuffledInput,
)
from .writers import JsonWriter, NoopOutput, OutputWriter, ParquetWriter

__all__ = [
    "FileReader",
    "IOContext",
    "InputReader",
    "JsonReader",
    "JsonWriter",
    "MixedInput",
    "MixedReader",
    "NoopOutput",
    "OutputWriter",
    "ParquetWriter",
    "ShuffledInput",
]
__getattr__ = lazily(__name__, {})
