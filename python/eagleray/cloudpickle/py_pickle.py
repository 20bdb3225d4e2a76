"""The standard library's pickle in Python, under Ray's path: its Pickler can be taken apart where C's cannot."""

from pickle import HIGHEST_PROTOCOL, PickleError, PicklingError, UnpicklingError
from pickle import _load as load  # type: ignore[attr-defined]
from pickle import _loads as loads  # type: ignore[attr-defined]
from pickle import _Pickler as Pickler
from pickle import _Unpickler as Unpickler

__all__ = [
    "HIGHEST_PROTOCOL",
    "PickleError",
    "Pickler",
    "PicklingError",
    "Unpickler",
    "UnpicklingError",
    "load",
    "loads",
]
