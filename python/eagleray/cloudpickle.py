"""cloudpickle under Ray's path."""

from cloudpickle import *  # noqa: F403
from cloudpickle import Pickler, dump, dumps, load, loads

__all__ = ["Pickler", "dump", "dumps", "load", "loads"]
