"""The standard library's `multiprocessing.Pool` on actors, under Ray's path."""

from multiprocessing import JoinableQueue, TimeoutError

from .pool import Pool

__all__ = ["JoinableQueue", "Pool", "TimeoutError"]
