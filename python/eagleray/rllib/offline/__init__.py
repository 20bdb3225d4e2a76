"""Experience in files."""

from __future__ import annotations

from .readers import FileReader, JsonReader, MixedReader
from .writers import JsonWriter, ParquetWriter

__all__ = ["FileReader", "JsonReader", "JsonWriter", "MixedReader", "ParquetWriter"]
