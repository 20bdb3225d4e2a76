"""Pool: the standard library's, with actors as its processes."""

from __future__ import annotations

import logging
import os
import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import eagleray as ray

from ... import _planned
from .. import log_once
from ._results import (
    AsyncResult,
    CallbackThread,
    IMapIterator,
    OrderedIMapIterator,
    UnorderedIMapIterator,
)
from ._runner import CALL, MAP, STARMAP, PoolActor
from ._workers import Chunk, Function, Worker, Workers

__all__ = ["AsyncResult", "IMapIterator", "OrderedIMapIterator", "Pool", "UnorderedIMapIterator"]
logger = logging.getLogger(__name__)
RUN, CLOSE, TERMINATE = "RUN", "CLOSE", "TERMINATE"
CHUNKS_PER_PROCESS = 4  # of a map() without chunksize, as in the standard library


def _connect(processes: int | None, ray_address: str | None) -> int:
    """Connects if need be, and gives the number of processes."""
    if not ray.is_initialized():
        address = ray_address or os.environ.get("RAY_ADDRESS")
        if address in (None, "", "local"):
            ray.init(address=address or None, num_cpus=processes)
        else:
            ray.init(address=address)
    cpus = int(ray.cluster_resources().get("CPU", 0))
    if processes is None:
        processes = cpus
    if processes <= 0:
        raise ValueError("Processes in the pool must be >0.")
    if processes > cpus:
        raise ValueError(
            f"Tried to start a pool with {processes} processes on an existing ray cluster, but there are only "
            f"{cpus} CPUs in the ray cluster."
        )
    return processes


class Pool:
    """A pool of `processes` actors (the cluster's CPUs, unless given) with the methods of
    `multiprocessing.Pool`.

    initializer(*initargs) runs in each of them first; what it raises is raised here. maxtasksperchild: chunks
    until a process is replaced. context: ignored, with a warning, as in Ray. ray_address: where init() connects
    to, if that is still to do; RAY_ADDRESS otherwise. ray_remote_args: options of the actors (num_cpus is 0).
    ValueError for more processes than the cluster has CPUs. A process that dies fails the calls that it had begun, and
    not yet answered, with RayActorError, and is replaced; others are run elsewhere. In the standard library those
    calls never end. Follows Ray 2.60.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] | None = None,
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
    ) -> None:
        self._state = CLOSE  # until it has started
        if maxtasksperchild is not None and (
            not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0
        ):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if context and log_once("context_argument_warning"):
            logger.warning(
                "The 'context' argument of Pool does nothing: arguments of ray.init() and ray_remote_args say how "
                "its processes start."
            )
        self._processes = _connect(processes, ray_address)
        actor = ray.remote(PoolActor).options(**{"num_cpus": 0, **(ray_remote_args or {})})
        arguments = (initializer, tuple(initargs or ()))
        self._callbacks = CallbackThread()
        self._iterators: list[IMapIterator] = []  # whose items have not all been sent
        self._workers = Workers(
            self._processes, lambda seat: actor.remote(*arguments, seat), maxtasksperchild or -1
        )
        try:
            self._workers.wait_for_start()
        except BaseException:
            self._workers.terminate()
            raise
        self._state = RUN

    @property
    def _pool(self) -> list[Worker]:
        return self._workers.all

    def __del__(self, _warn: Any = warnings.warn) -> None:
        if getattr(self, "_state", CLOSE) == RUN:
            _warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} state={self._state}>"

    def __reduce__(self) -> Any:
        raise NotImplementedError("pool objects cannot be passed between processes or pickled")

    def _check_running(self) -> None:
        if self._state != RUN:
            raise ValueError("Pool not running")

    # ---- single calls ----

    def apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """func(*args, **kwargs) in one of the processes; waits for it."""
        return self.apply_async(func, args, kwargs).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        callback: Callable[[Any], None] | None = None,
        error_callback: Callable[[BaseException], None] | None = None,
    ) -> AsyncResult:
        """As apply(), at once. callback(value) or error_callback(exception) runs in this process when it has
        ended, on the pool's thread for that: it should be quick."""
        self._check_running()
        result = AsyncResult(1, True, callback, error_callback, self._callbacks)
        call = (tuple(args or ()), dict(kwargs or {}))
        self._workers.submit(Chunk(Function(func, CALL), [call], result._part(0)))
        return result

    # ---- calls over items ----

    def map(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None = None
    ) -> list[Any]:
        """[func(item) for item in iterable], `chunksize` items a message (by default four messages a
        process). The first exception is raised when all have ended."""
        return self._map(func, MAP, iterable, chunksize, None, None).get()  # type: ignore[no-any-return]

    def map_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], None] | None = None,
        error_callback: Callable[[BaseException], None] | None = None,
    ) -> AsyncResult:
        """As map(), at once; see apply_async()."""
        return self._map(func, MAP, iterable, chunksize, callback, error_callback)

    def starmap(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None = None
    ) -> list[Any]:
        """[func(*item) for item in iterable]; see map()."""
        return self._map(func, STARMAP, iterable, chunksize, None, None).get()  # type: ignore[no-any-return]

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], None] | None = None,
        error_callback: Callable[[BaseException], None] | None = None,
    ) -> AsyncResult:
        """As starmap(), at once; see apply_async()."""
        return self._map(func, STARMAP, iterable, chunksize, callback, error_callback)

    def _map(
        self,
        func: Callable[..., Any],
        kind: int,
        iterable: Iterable[Any],
        chunksize: int | None,
        callback: Any,
        error_callback: Any,
    ) -> AsyncResult:
        self._check_running()
        items = list(iterable)
        if chunksize is None:
            chunksize = max(1, -(-len(items) // (self._processes * CHUNKS_PER_PROCESS)))
        _check_chunksize(chunksize)
        starts = range(0, len(items), chunksize)
        result = AsyncResult(len(starts), False, callback, error_callback, self._callbacks)
        function = Function(func, kind)
        for index, start in enumerate(starts):
            chunk = Chunk(function, items[start : start + chunksize], result._part(index))
            self._workers.submit(chunk)
        return result

    def imap(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int = 1
    ) -> OrderedIMapIterator:
        """map() as an iterator; the iterable may be endless."""
        return self._imap(OrderedIMapIterator, func, iterable, chunksize)  # type: ignore[return-value]

    def imap_unordered(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int = 1
    ) -> UnorderedIMapIterator:
        """As imap(), with results as they come."""
        return self._imap(UnorderedIMapIterator, func, iterable, chunksize)  # type: ignore[return-value]

    def _imap(
        self,
        kind: type[IMapIterator],
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int,
    ) -> IMapIterator:
        self._check_running()
        _check_chunksize(chunksize)
        ahead = CHUNKS_PER_PROCESS * self._processes
        made = kind(self._workers, Function(func, MAP), iterable, chunksize, ahead)
        self._iterators = [each for each in self._iterators if each._source is not None]
        self._iterators.append(made)
        return made

    # ---- the end ----

    def close(self) -> None:
        """Takes no more calls; the processes end when what was called has ended."""
        if self._state == RUN:
            self._state = CLOSE

    def terminate(self) -> None:
        """Ends the processes at once; results that are not there yet raise ActorDiedError."""
        self._state = TERMINATE
        self._workers.terminate()
        self._callbacks.stop(wait=False)

    def join(self) -> None:
        """Waits until the processes have ended, after close() with all that was called, also what imap() has
        not yet taken of its iterable. ValueError unless it was closed or terminated."""
        if self._state == RUN:
            raise ValueError("Pool is still running")
        iterators, self._iterators = self._iterators, []
        if self._state == CLOSE:
            for each in iterators:
                each._send_all()
        self._workers.finish()
        self._callbacks.stop(wait=True)

    def __enter__(self) -> Pool:
        self._check_running()
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    __class_getitem__: Any = classmethod(types.GenericAlias)


def _check_chunksize(chunksize: int) -> None:
    if chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize:n}")


__getattr__ = _planned.lazily(__name__)
